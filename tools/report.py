"""Show a finished run: a curve, pictures and a summary: python tools/report.py CONFIG WORK_DIR."""

from asl_mmdet.cli.report import main

if __name__ == "__main__":
    main()
