"""Compare losses as a plan says.

Runs every combination of config, loss, data and seed that is not finished yet, and writes a report. The command can be
stopped at any time and started again: a finished run is kept, an unfinished one resumes from its last checkpoint. A
run that fails is reported with its log and does not stop the others.

Example:
    python tools/benchmark.py benchmarks/plans/shapes_detection.py --dry-run
"""

import argparse
from pathlib import Path

from asl_mmdet_cli.arguments import add_jobs, whole
from asl_mmdet_cli.messages import fail, need_file


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    command.add_argument("plan", nargs="?", metavar="PLAN", help="plan file; not needed with --compare")
    command.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder to write; work_dirs/benchmark/<plan> by default"
    )
    command.add_argument("--dry-run", action="store_true", help="show the plan and build every config, but run nothing")
    command.add_argument("--report", action="store_true", help="report what is finished, and run nothing")
    add_jobs(command, "runs at a time, each with one CPU thread if more than 1")
    command.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm"], default="none", help="job launcher of a run"
    )
    command.add_argument(
        "--gpus", type=whole(1), default=1, metavar="N", help="with --launcher: GPUs (or processes) of a run"
    )
    command.add_argument(
        "--srun-options", default="", metavar="OPTIONS", help="with --launcher slurm: partition, time and so on"
    )
    command.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("OLD.json", "NEW.json"),
        help="show what changed between two results.json, and run nothing",
    )


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    if args.launcher == "none" and args.gpus > 1:
        command.error(f"--gpus {args.gpus}: name a --launcher")
    if args.launcher != "slurm" and args.srun_options:
        command.error("--srun-options: use --launcher slurm")
    if args.compare:
        for path in args.compare:
            need_file(path, "file of results")
    elif args.plan is None:
        command.error("name a plan, or two files of results by --compare")
    elif not Path(args.plan).is_file():
        fail(f"there is no plan {args.plan}; this project's are in benchmarks/plans/")
