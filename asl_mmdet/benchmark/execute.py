"""Run the trainings of a plan."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config

from asl_mmdet.benchmark.environment import conditions, environment
from asl_mmdet.benchmark.metrics import collect
from asl_mmdet.benchmark.plan import Plan, Run
from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.runs import jobs as runs
from asl_mmdet.runs.jobs import Job


def differing(plan: Plan, out: Path) -> dict[str, list[str]]:
    """The runs of a plan whose folders were made with something else, and what differs."""
    return runs.differing([_job_of(plan, run) for run in plan.runs()], out)


def run_plan(plan: Plan, out: Path, jobs: int, train: list[str], launcher_arguments: list[str]) -> list[str]:
    """Run what is not finished of a plan, and return what failed; see :func:`asl_mmdet.runs.jobs.run_jobs`."""
    for folder, options in plan.shapes.items():
        if not Path(folder).exists():
            make_shapes(folder, **options)
    return runs.run_jobs([_job_of(plan, run) for run in plan.runs()], out, jobs, train, launcher_arguments)


def _job_of(plan: Plan, run: Run) -> Job:
    def result(cfg: Config, work_dir: Path, predictions: Path) -> dict[str, Any]:
        found = asdict(run) | collect(cfg, work_dir, predictions) | conditions(cfg) | environment()
        return found | dict(plan=plan.name, baseline=plan.baseline)

    def describe(result: dict[str, Any]) -> str:
        return f"{result['main_metric']} {result['metrics'][result['main_metric']]:.2f}"

    return Job(str(run), partial(plan.config_of, run), result, describe)
