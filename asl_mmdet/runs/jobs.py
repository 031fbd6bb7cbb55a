"""Trainings and the predictions of their test sets, each in processes of its own."""

import re
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mmengine.config import Config

from asl_mmdet.coco.format import write_json
from asl_mmdet.compat.checkpoints import last_checkpoint
from asl_mmdet.errors import UserError
from asl_mmdet.runs.key import KEY, Key, differences, key_of, read_key, write_key
from asl_mmdet.runs.locks import locked, signals_end_the_program
from asl_mmdet.runs.processes import Processes

_INSTALLED = Path(__file__).parents[1] / ".mim" / "tools"
TOOLS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2] / "tools"


@dataclass(frozen=True)
class Job:
    """One training and the predictions of its test set, in a folder of its own.

    Args:
        name: The name of the folder.
        config: Makes the config.
        collect: Makes the content of ``result.json`` of the config, the work directory and the file of predictions.
        describe: That content in a few words.
        test_options: More options of ``tools/test.py``.
    """

    name: str
    config: Callable[[], Config]
    collect: Callable[[Config, Path, Path], dict[str, Any]]
    describe: Callable[[dict[str, Any]], str]
    test_options: tuple[str, ...] = ()

    def folder(self, out: Path) -> Path:
        """Where it is."""
        return out / self.name

    def is_finished(self, out: Path) -> bool:
        """Whether it has its result."""
        return (self.folder(out) / "result.json").exists()

    def key(self, processes: int) -> Key:
        """What its result depends on; that of so many processes are batches of so many parts."""
        with _one_at_a_time:
            return key_of(self.config(), test_options=list(self.test_options), processes=processes)

    def differences(self, out: Path, processes: int | None = None) -> list[str]:
        """What its folder was made with, finished or not, that is not what it would be made with now.

        Args:
            out: The folder of all jobs.
            processes: Of a training; None compares all but them.
        """
        folder = self.folder(out)
        if not any((folder / name).exists() for name in ("run", "result.json")):
            return []
        if (there := read_key(folder)) is None:
            return [f"there is no {KEY}, which says what it was made with"]
        return differences(there, self.key(there.get("processes", 1) if processes is None else processes))


# MMEngine reads and writes configs, and builds what they name, with state that threads share.
_one_at_a_time = threading.Lock()


def differing(jobs: list[Job], out: Path, processes: int | None = None) -> dict[str, list[str]]:
    """The jobs whose folders were made with something else, and what differs; see :meth:`Job.differences`."""
    found = {job.name: job.differences(out, processes) for job in jobs}
    return {name: lines for name, lines in found.items() if lines}


def run_jobs(jobs: list[Job], out: Path, at_a_time: int, train: list[str], launcher_arguments: list[str]) -> list[str]:
    """Run what is not finished, and return what failed. A stopped training resumes from its last checkpoint.

    Args:
        jobs: What to run.
        out: Every job has a folder in it, with the ``result.json`` of a finished one.
        at_a_time: So many of them run at a time.
        train: How to start a script: the Python interpreter, or torchrun or srun with their options.
        launcher_arguments: What the script gets for that.

    Raises:
        BlockingIOError: If another benchmark holds ``out``.
        UserError: If a folder there, finished or not, was made with something else.
    """
    with locked(out) as lock, signals_end_the_program(), ThreadPoolExecutor(at_a_time) as pool:
        if found := differing(jobs, out, processes_of(train)):
            raise UserError(
                f"in {out} {len(found)} runs were made with something else. Remove their folders to run them again, or "
                f"name another folder by --out\n{refusal(found)}"
            )
        todo = [job for job in jobs if not job.is_finished(out)]
        processes = Processes(lock)

        def run_job(job: Job) -> str:
            return _run_job(job, job.folder(out), processes, train, launcher_arguments)

        try:
            return [message for message in pool.map(run_job, todo) if message]
        except BaseException:  # a signal
            processes.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def refusal(found: dict[str, list[str]]) -> str:
    """A line for every folder and what differs; of many the first ones."""
    lines = [f"  {name}: {'; '.join(differences)}" for name, differences in found.items()]
    return "\n".join(lines[:10] + [f"  and {len(lines) - 10} more"] * (len(lines) > 10))


def processes_of(train: list[str]) -> int:
    """The number of processes that torchrun or srun starts."""
    numbers = (re.fullmatch(r"--(?:nproc_per_node|ntasks)=(\d+)", argument) for argument in train)
    return next((int(match[1]) for match in numbers if match), 1)


def _run_job(job: Job, folder: Path, processes: Processes, train: list[str], launcher_arguments: list[str]) -> str:
    """Train from where it stands, predict, and write ``result.json``; a message if something failed."""
    folder.mkdir(parents=True, exist_ok=True)
    config, work_dir, predictions = folder / "config.py", folder / "run", folder / "predictions.pkl"
    write_key(folder, job.key(processes_of(train)))
    with _one_at_a_time:
        job.config().dump(config)
    start, is_resumed = time.time(), work_dir.exists()
    print(f"{datetime.now():%H:%M:%S}  {job.name} ...", flush=True)
    script = [*train, str(TOOLS / "train.py"), str(config), "--work-dir", str(work_dir), "--resume"]
    log = folder / "train.log"
    code = processes.run([*script, *launcher_arguments], log)
    if code == 0:
        script = [*train, str(TOOLS / "test.py"), str(config), str(last_checkpoint(work_dir)), *job.test_options]
        arguments = ["--out", str(predictions), "--dump-only", "--work-dir", str(folder / "test"), *launcher_arguments]
        log = folder / "test.log"
        code = processes.run([*script, *arguments], log)
    if processes.is_stopped:
        return ""
    if code:
        print(f"{datetime.now():%H:%M:%S}  {job.name} FAILED, see {log}", flush=True)
        return f"{job.name}: exit code {code}; {log} ends with: {_last_line(log)}"
    try:
        with _one_at_a_time:
            result = job.collect(Config.fromfile(config), work_dir, predictions)
    except Exception as error:  # the other runs go on, and this one is collected again the next time
        print(f"{datetime.now():%H:%M:%S}  {job.name} FAILED, its results cannot be read", flush=True)
        (folder / "collect.log").write_text(traceback.format_exc(), encoding="utf-8")
        where = "" if isinstance(error, UserError) else f", see {folder / 'collect.log'}"
        return f"{job.name}: its results cannot be read: {type(error).__name__}: {error}{where}"
    minutes = (time.time() - start) / 60
    write_json(folder / "result.json", result | dict(minutes=None if is_resumed else round(minutes, 1)))
    print(f"{datetime.now():%H:%M:%S}  {job.name}: {job.describe(result)}, {minutes:.1f} min", flush=True)
    return ""


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "(nothing)"
