"""Compare losses by a plan: python tools/benchmark.py benchmarks/plans/shapes_detection.py.

Runs every combination of config, loss, data and seed that is not finished yet, and writes a report. It can be stopped
at any time and started again: a finished run is kept, an unfinished one resumes from its last checkpoint. A run that
fails is reported with its log and does not stop the others. ``--compare A.json B.json`` shows what changed between two
results.
"""

import argparse
import itertools
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine import load
from mmengine.config import Config

from asl_mmdet.benchmark import Cell, Plan, compare, differing, refusal, run
from asl_mmdet.cli.common import check_data, fail, tell
from asl_mmdet.errors import UserError
from asl_mmdet.task import DETECTION, task_of
from asl_mmdet.visualization import draw_detections

try:
    from asl_mmdet.benchmark.report import write_report
except ModuleNotFoundError as error:
    fail(f"the report needs {error.name}, which is not installed: pip install 'pandas>=2' 'jinja2>=3'")


def pictures_of(plan: Plan, out: Path) -> dict[str, Any]:
    """A sheet for every detector and data variant, of the first seed that is finished with any loss."""
    sheets = {}
    for config, data in itertools.product(plan.configs, plan.data):
        for seed in plan.seeds:
            folders = {loss: out / str(Cell(config, loss, data, seed)) for loss in plan.losses}
            folders = {loss: folder for loss, folder in folders.items() if (folder / "result.json").exists()}
            if not folders:
                continue
            cfg = Config.fromfile(next(iter(folders.values())) / "config.py")
            if task_of(cfg) is DETECTION:
                predictions = {loss: load(folder / "predictions.pkl") for loss, folder in folders.items()}
                sheets[f"{config}, {data}, seed {seed}"] = draw_detections(cfg, predictions, number=4)
            break
    return sheets


def main(argv: Sequence[str] | None = None) -> None:
    """Show the plan, run it, and write the report."""
    args = parser().parse_args(argv)
    if args.compare:
        print("\n".join(compare(*(json.loads(path.read_text(encoding="utf-8")) for path in args.compare))))
        return
    if not args.plan or not Path(args.plan).is_file():
        fail(f"there is no plan {args.plan}; this project's are in benchmarks/plans/")
    try:
        plan = Plan.read(args.plan)
    except UserError as error:
        fail(str(error))
    out = args.out or Path("work_dirs") / "benchmark" / plan.name
    show(plan, out, args.jobs)
    if problems := [problem for cell in plan.cells() for problem in plan.problems_of(cell)]:
        fail("\n".join(problems))
    if args.dry_run:
        for cell in plan.cells():
            print(f"  {cell}{'  finished' if is_finished(out, cell) else ''}")
        return
    if args.report and (found := differing(plan, out)):
        tell(f"warning: runs that were made with something else are reported too\n{refusal(found)}")
    failures = [] if args.report else run_all(plan, out, args)
    results = [json.loads((out / str(cell) / "result.json").read_bytes()) for cell in finished_cells(plan, out)]
    if results:
        write_report(results, failures, out, plan.name, pictures_of(plan, out))
        report = (out / "report.md").read_text(encoding="utf-8")
        print(f"\n{report}\n{out / 'report.html'}, {out / 'results.csv'}, {out / 'results.json'}")
    if failures or not results:
        fail("\n".join([f"{len(failures)} runs failed, {len(results)} are finished", *failures]))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(description="Compare losses by a plan.")
    command.add_argument("plan", nargs="?", help="plan file")
    command.add_argument("--out", type=Path, help="folder for runs and report; work_dirs/benchmark/<plan> by default")
    command.add_argument("--dry-run", action="store_true", help="show the plan and build every config, but run nothing")
    command.add_argument("--report", action="store_true", help="report what is finished, and run nothing")
    command.add_argument("--jobs", type=int, default=1, help="runs at a time (each with one CPU thread if more than 1)")
    command.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm"], default="none", help="job launcher of a run"
    )
    command.add_argument("--gpus", type=int, default=1, help="GPUs (or processes) of a run, for a launcher")
    command.add_argument("--srun-options", default="", help="for --launcher slurm: partition, time and so on")
    command.add_argument("--compare", nargs=2, type=Path, metavar="RESULTS.json", help="show what changed")
    return command


def is_finished(out: Path, cell: Cell) -> bool:
    """Whether a cell has its result."""
    return (out / str(cell) / "result.json").exists()


def finished_cells(plan: Plan, out: Path) -> list[Cell]:
    """The cells that have their results."""
    return [cell for cell in plan.cells() if is_finished(out, cell)]


def show(plan: Plan, out: Path, jobs: int) -> None:
    """Print what the plan has, what of it is finished, and about how long the rest takes."""
    number, finished = len(plan.cells()), len(finished_cells(plan, out))
    print(
        f"{plan.name}: {len(plan.configs)} configs x {len(plan.losses)} losses x {len(plan.data)} data variants x "
        f"{len(plan.seeds)} seeds = {number} runs, of which {finished} are finished in {out}"
    )
    minutes = plan.minutes * (number - finished) / jobs
    known = f"about {minutes:.0f} minutes, at {plan.minutes:g} a run"
    print(f"expected: {known}" if plan.minutes else "expected time: unknown")


def run_all(plan: Plan, out: Path, args: argparse.Namespace) -> list[str]:
    """Run what is not finished; a line for every cell that failed."""
    for cell in plan.cells():
        cfg = plan.config_of(cell)
        if cfg.train_dataloader.dataset.get("data_root", "").rstrip("/") not in plan.shapes:
            check_data(cfg, "train", "val")
    out.mkdir(parents=True, exist_ok=True)
    if args.jobs > 1:
        os.environ["OMP_NUM_THREADS"] = "1"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1", f"--nproc_per_node={args.gpus}"]
    train = {
        "none": [sys.executable],
        "pytorch": [*torchrun, "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"],
        "slurm": ["srun", f"--ntasks={args.gpus}", *shlex.split(args.srun_options), sys.executable, "-u"],
    }[args.launcher]
    try:
        return run(plan, out, args.jobs, train, [] if args.launcher == "none" else ["--launcher", args.launcher])
    except (UserError, BlockingIOError) as error:
        fail(str(error))
