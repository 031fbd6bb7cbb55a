"""How much memory a training took."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from asl_mmdet.coco.format import write_json


@HOOKS.register_module()
class PeakMemoryHook(Hook):
    """Write ``peak_memory.json`` into the work directory after every epoch of training.

    ``host_mb`` is the largest resident memory of a training process, without its data workers; Windows does not say
    it. ``device_mb``, only on a GPU, is the largest memory that PyTorch had allocated there. Of several processes, and
    of the parts of a resumed run, the largest counts. MB are 2**20 bytes.
    """

    priority = "LOWEST"

    def after_train_epoch(self, runner: Runner) -> None:
        """Write what the peak is up to now: a run that is killed later has it too."""
        self._write(runner)

    def after_train(self, runner: Runner) -> None:
        """Write the last peak; runs by iterations have no epochs."""
        self._write(runner)

    def _write(self, runner: Runner) -> None:
        peaks = {}
        if (host := resident_mb()) is not None:
            peaks["host_mb"] = host
        if torch.cuda.is_available():
            peaks["device_mb"] = torch.cuda.max_memory_allocated() / 2**20
        peak = torch.tensor(list(peaks.values()), device=get_device())
        all_reduce(peak, "max")
        if not is_main_process():
            return
        path = Path(runner.work_dir) / "peak_memory.json"
        before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        now = dict(zip(peaks, peak.tolist(), strict=True))
        largest = {name: round(max(value, before.get(name, 0.0))) for name, value in now.items()}
        write_json(path, largest)


def resident_mb() -> float | None:
    """The largest resident memory that this process has had, in MB; None where the system does not say.

    Linux's own count, since what ``getrusage`` gives there begins with that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:  # Windows
        return None
    peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024  # bytes there, KB elsewhere
