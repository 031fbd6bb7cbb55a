"""Convert a TResNet that the authors of ASL publish: python tools/convert_asl_checkpoint.py SRC.pth DST.pth."""

from asl_mmdet.cli.convert_asl_checkpoint import main

if __name__ == "__main__":
    main()
