"""Fix what can be fixed in a COCO-format file: python tools/fix_annotations.py IN.json OUT.json."""

from asl_mmdet.cli.fix_annotations import main

if __name__ == "__main__":
    main()
