"""List doubtful training labels by what a trained model says: python tools/audit_labels.py CONFIG CHECKPOINT."""

from asl_mmdet.allocator import keep_memory
from asl_mmdet.cli.audit_labels import main

if __name__ == "__main__":
    keep_memory()  # not in main(): it lasts as long as the process
    main()
