"""Run the cells of a plan, each in processes of its own."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from mmengine.config import Config

from asl_mmdet.benchmark.metrics import collect
from asl_mmdet.benchmark.plan import Cell, Plan
from asl_mmdet.benchmark.processes import Processes, locked, signals_end_the_program
from asl_mmdet.benchmark.results import ROOT, environment
from asl_mmdet.shapes import make_shapes

_INSTALLED = Path(__file__).parents[1] / ".mim" / "tools"
TOOLS = _INSTALLED if _INSTALLED.is_dir() else ROOT / "tools"


def run(plan: Plan, out: Path, jobs: int, train: list[str], launcher_arguments: list[str]) -> list[str]:
    """Run what is not finished, ``jobs`` cells at a time, and return what failed.

    Args:
        plan: The plan.
        out: Every cell has a folder in it, with the ``result.json`` of a finished one.
        jobs: Cells at a time.
        train: How to start a script: the Python interpreter, or torchrun or srun with their options.
        launcher_arguments: What the script gets for that.

    Raises:
        BlockingIOError: If another benchmark holds ``out``.
    """
    for folder, options in plan.shapes.items():
        if not Path(folder).exists():
            make_shapes(folder, **options)
    with locked(out) as lock, signals_end_the_program(), ThreadPoolExecutor(jobs) as pool:
        todo = [cell for cell in plan.cells() if not (out / str(cell) / "result.json").exists()]
        processes = Processes(lock)

        def run_cell(cell: Cell) -> str:
            return _run_cell(plan, cell, out / str(cell), processes, train, launcher_arguments)

        try:
            return [message for message in pool.map(run_cell, todo) if message]
        except BaseException:  # a signal
            processes.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run_cell(
    plan: Plan, cell: Cell, folder: Path, processes: Processes, train: list[str], launcher_arguments: list[str]
) -> str:
    """Train from where it stands, evaluate, and write ``result.json``; a message if something failed."""
    folder.mkdir(parents=True, exist_ok=True)
    config, work_dir, predictions = folder / "config.py", folder / "run", folder / "predictions.pkl"
    plan.config_of(cell).dump(config)
    start = time.time()
    print(f"{datetime.now():%H:%M:%S}  {cell} ...", flush=True)
    script = [*train, str(TOOLS / "train.py"), str(config), "--work-dir", str(work_dir), "--resume"]
    log = folder / "train.log"
    code = processes.run([*script, *launcher_arguments], log)
    if code == 0:
        checkpoint = Path((work_dir / "last_checkpoint").read_text().strip())
        script = [*train, str(TOOLS / "test.py"), str(config), str(work_dir / checkpoint.name)]
        arguments = ["--out", str(predictions), "--dump-only", "--work-dir", str(folder / "test"), *launcher_arguments]
        log = folder / "test.log"
        code = processes.run([*script, *arguments], log)
    if processes.is_stopped:
        return ""
    if code:
        print(f"{datetime.now():%H:%M:%S}  {cell} FAILED, see {log}", flush=True)
        return f"{cell}: exit code {code}; {log} ends with: {_last_line(log)}"
    try:
        result = asdict(cell) | collect(Config.fromfile(config), work_dir, predictions)
    except Exception as error:  # the other runs go on, and this one is collected again the next time
        print(f"{datetime.now():%H:%M:%S}  {cell} FAILED, its results cannot be read", flush=True)
        return f"{cell}: its results cannot be read: {type(error).__name__}: {error}"
    result |= dict(baseline=plan.baseline, **environment())
    partial = folder / "result.json.partial"
    partial.write_text(json.dumps(result))
    partial.replace(folder / "result.json")
    main = result["metrics"][result["main_metric"]]
    minutes = (time.time() - start) / 60
    print(f"{datetime.now():%H:%M:%S}  {cell}: {result['main_metric']} {main:.2f}, {minutes:.1f} min", flush=True)
    return ""


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "(nothing)"
