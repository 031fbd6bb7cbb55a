"""Show a finished run: curves, pictures and a summary."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("report")
