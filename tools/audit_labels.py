"""List doubtful training labels by what a trained model says: python tools/audit_labels.py CONFIG CHECKPOINT."""

from asl_mmdet.cli.audit_labels import main

if __name__ == "__main__":
    main()
