"""Look for defects in the data sets and the config."""

import argparse
import sys

from asl_mmdet.checks import check_config, check_datasets, preflight
from asl_mmdet.checks.finding import without
from asl_mmdet.checks.loaders import check_loaders
from asl_mmdet.cli.common import fail, load_config, print_findings, stop_on


def main(args: argparse.Namespace) -> None:
    """Print what is found, data set by data set."""
    cfg = load_config(args)
    if not any(cfg.get(f"{split}_dataloader") for split in args.splits):
        fail(f"{args.config} has no {' and no '.join(f'{split}_dataloader' for split in args.splits)} to check")
    found = check_datasets(cfg, args.splits, read_images=not args.fast)
    found = {key: without(findings, args.ignore) for key, findings in found.items()}
    for key, findings in found.items():
        print_findings(key, findings)
    if not found:
        stop_on(preflight.check_data(cfg, args.splits), args.ignore)
        print(f"no data set of {args.config} is in COCO format: only their files and folders were looked for")
    settings = without([*check_config(cfg), *preflight.check_encoding(cfg, args.splits)], args.ignore)
    if not any(finding.is_error for findings in [*found.values(), settings] for finding in findings):
        settings += without(check_loaders(cfg, args.splits), args.ignore)  # now they can be built
    for finding in settings:
        print(finding)
    bad = [finding for findings in [*found.values(), settings] for finding in findings]
    sys.exit(1 if any(finding.is_error or args.strict for finding in bad) else 0)
