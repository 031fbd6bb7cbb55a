"""Run the plan of a benchmark, and write the report."""

import argparse
import itertools
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from mmengine import load
from mmengine.config import Config

from asl_mmdet.benchmark import Plan, Run, differing, run_plan
from asl_mmdet.cli.common import check_data, fail, tell
from asl_mmdet.config.task import DETECTION, task_of
from asl_mmdet.runs.jobs import refusal
from asl_mmdet.runs.pictures import draw_detections

try:
    from asl_mmdet.benchmark.report import report_each, write_report
    from asl_mmdet.benchmark.rows import Rows, compare
except ModuleNotFoundError as error:
    fail(f"the report needs {error.name}, which is not installed: pip install 'pandas>=2' 'jinja2>=3'")


def pictures_of(plan: Plan, out: Path) -> dict[str, Any]:
    """A sheet for every detector and data variant, of the first seed that is finished with any loss."""
    sheets = {}
    for config, data in itertools.product(plan.configs, plan.data):
        for seed in plan.seeds:
            folders = {loss: out / str(Run(config, loss, data, seed)) for loss in plan.losses}
            folders = {loss: folder for loss, folder in folders.items() if (folder / "result.json").exists()}
            if not folders:
                continue
            cfg = Config.fromfile(next(iter(folders.values())) / "config.py")
            if task_of(cfg) is DETECTION:
                predictions = {loss: load(folder / "predictions.pkl") for loss, folder in folders.items()}
                sheets[f"{config}, {data}, seed {seed}"] = draw_detections(cfg, predictions, number=4)
            break
    return sheets


def main(args: argparse.Namespace) -> None:
    """Show the plan, run it, and write the report."""
    if args.compare or args.rows:
        show_rows(args)
        return
    plan = Plan.read(args.plan)
    out = args.out or Path("work_dirs") / "benchmark" / plan.name
    show(plan, out, args.jobs)
    if problems := [problem for run in plan.runs() for problem in plan.problems_of(run)]:
        fail("\n".join(problems))
    if args.dry_run:
        finished = finished_runs(plan, out)
        print("\n".join(f"  {run}{'  finished' if run in finished else ''}" for run in plan.runs()))
        return
    if args.report and (found := differing(plan, out)):
        tell(f"warning: runs that were made with something else are reported too\n{refusal(found)}")
    failures = [] if args.report else run_all(plan, out, args)
    results = [json.loads((out / str(run) / "result.json").read_bytes()) for run in finished_runs(plan, out)]
    if results:
        rows = Rows.of(results, out.name)
        rows.write(out)
        write_report(rows, failures, out, plan.name, pictures_of(plan, out))
        report = (out / "report.md").read_text(encoding="utf-8")
        print(f"\n{report}\n{out / 'report.html'}, {out / 'runs.csv'}")
        if args.append:
            rows.add_to(args.append, args.tables)
    if failures or not results:
        fail("\n".join([f"{len(failures)} runs failed, {len(results)} are finished", *failures]))


def show_rows(args: argparse.Namespace) -> None:
    """Print what changed between two folders of rows, or the report of one."""
    try:
        if args.compare:
            print("\n".join(compare(*map(Rows.read, args.compare))))
        else:
            wanted = dict(one.partition("=")[::2] for one in args.where)
            rows = Rows.read(args.rows).where(**wanted)
            print(report_each(rows, args.out))
            if args.append:
                rows.add_to(args.append, args.tables)
    except FileNotFoundError as error:
        fail(str(error))


def finished_runs(plan: Plan, out: Path) -> list[Run]:
    """The runs that have their results."""
    return [run for run in plan.runs() if (out / str(run) / "result.json").exists()]


def show(plan: Plan, out: Path, jobs: int) -> None:
    """Print what the plan has, what of it is finished, and about how long the rest takes."""
    number, finished = len(plan.runs()), len(finished_runs(plan, out))
    print(
        f"{plan.name}: {len(plan.configs)} configs x {len(plan.losses)} losses x {len(plan.data)} data variants x "
        f"{len(plan.seeds)} seeds = {number} runs, of which {finished} are finished in {out}"
    )
    minutes = plan.minutes * (number - finished) / jobs
    known = f"about {minutes:.0f} minutes, at {plan.minutes:g} a run"
    print(f"expected: {known}" if plan.minutes else "expected time: unknown")


def run_all(plan: Plan, out: Path, args: argparse.Namespace) -> list[str]:
    """Run what is not finished; a line for every run that failed."""
    for run in plan.runs():
        cfg = plan.config_of(run)
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
    return run_plan(plan, out, args.jobs, train, [] if args.launcher == "none" else ["--launcher", args.launcher])
