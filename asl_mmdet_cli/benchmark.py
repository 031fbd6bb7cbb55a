"""Compare losses as a plan says.

Runs every combination of config, loss, data and seed that is not finished yet, and writes a report. The command can be
stopped at any time and started again: a finished run is kept, an unfinished one resumes from its last checkpoint. A
run that fails is reported with its log and does not stop the others. The rows of all runs are in runs.csv beside the
report; --rows benchmarks --where experiment=NAME reports those of an experiment again.

Example:
    python tools/benchmark.py benchmarks/plans/coco_folder.py --dry-run
"""

import argparse
from pathlib import Path

from asl_mmdet_cli.arguments import add_jobs, folder_to_write, whole
from asl_mmdet_cli.messages import fail, need_folder

TABLES = ("runs", "classes", "curves")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    command.add_argument("plan", nargs="?", metavar="PLAN", help="plan file; not needed with --rows and --compare")
    command.add_argument(
        "--out", type=folder_to_write, metavar="FOLDER", help="folder to write; work_dirs/benchmark/<plan> by default"
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
    command.add_argument("--append", type=Path, metavar="ROWS", help="add the rows of the runs to those of this folder")
    command.add_argument(
        "--tables",
        nargs="+",
        choices=TABLES,
        default=["runs"],
        metavar="TABLE",
        help="with --append: which rows",
    )
    command.add_argument("--rows", type=Path, metavar="ROWS", help="report the rows of this folder, and run nothing")
    command.add_argument("--where", nargs="+", default=[], metavar="COLUMN=VALUE", help="with --rows: which of them")
    command.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("OLD", "NEW"),
        help="show what changed between the rows of two folders, and run nothing",
    )


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    if args.launcher == "none" and args.gpus > 1:
        command.error(f"--gpus {args.gpus}: name a --launcher")
    if args.launcher != "slurm" and args.srun_options:
        command.error("--srun-options: use --launcher slurm")
    if args.where and not args.rows:
        command.error("--where: it chooses from --rows")
    if folders := args.compare or ([args.rows] if args.rows else []):
        for path in folders:
            need_folder(path, "folder of rows")
    elif args.plan is None:
        command.error("name a plan, or folders of rows by --rows or --compare")
    elif not Path(args.plan).is_file():
        fail(f"there is no plan {args.plan}; this project's are in benchmarks/plans/ and experiments/plans/")
