"""List training labels that are missing or may be wrong."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("audit_labels")
