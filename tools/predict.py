"""Detect objects in a folder of images: python tools/predict.py CONFIG CHECKPOINT FOLDER OUT.json."""

from asl_mmdet.allocator import keep_memory
from asl_mmdet.cli.predict import main

if __name__ == "__main__":
    keep_memory()  # not in main(): it lasts as long as the process
    main()
