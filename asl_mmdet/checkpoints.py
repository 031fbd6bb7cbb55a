"""Reading checkpoints without running what is in them, and finding one that is whole."""

import os
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner.checkpoint import CheckpointLoader, get_torch_safe_globals

# MMEngine's checkpoints name these methods, in the log's buffers and in the one-cycle schedule. Its own loader allows
# getattr as a whole, with which a file reaches any code, and where that is not enough it loads the file unchecked.
_METHODS = {
    **{(HistoryBuffer, name): getattr(HistoryBuffer, name) for name in ("mean", "max", "min", "current")},
    **{
        (OneCycleParamScheduler, name): getattr(OneCycleParamScheduler, name)
        for name in ("_annealing_cos", "_annealing_linear")
    },
}


def _getattr(owner: Any, name: str) -> Any:
    try:
        return _METHODS[owner, name]
    except (KeyError, TypeError):
        raise UnpicklingError(f"it asks for {owner}.{name}") from None


def load_checkpoint(path: str, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint of tensors, numbers and text, and nothing that runs (``torch.load`` with ``weights_only``).

    Args:
        path: A local file.
        map_location: As for ``torch.load``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is torn or no checkpoint, or if it carries code.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no checkpoint {path}")
    allowed = [value for value in get_torch_safe_globals() if value is not getattr]
    try:
        with torch.serialization.safe_globals([*allowed, OneCycleParamScheduler, (_getattr, "builtins.getattr")]):
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except UnpicklingError as error:
        wanted = re.search(r"(?:GLOBAL|global) (\S+)|it asks for (.+)", str(error))
        if wanted is None:
            raise ValueError(f"{path} is not a checkpoint that torch can read: {_first_line(error)}") from error
        raise ValueError(
            f"{path} is refused: it holds not only weights but also code ({wanted[1] or wanted[2]}), which runs when "
            "it is loaded. If you trust who made it, take the weights out: "
            f"torch.save({{'state_dict': torch.load({path!r}, weights_only=False)['state_dict']}}, 'weights.pth')"
        ) from error
    except Exception as error:  # torch raises many types for a file that is torn or something else
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise ValueError(f"{path} is torn, or not a checkpoint ({reason})") from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path} is not a checkpoint: it holds a {type(checkpoint).__name__}")
    return checkpoint


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def only_weights() -> None:
    """Have MMEngine load local files by :func:`load_checkpoint` too, in this process."""
    CheckpointLoader.register_scheme(prefixes="", loader=load_checkpoint, force=True)


def find_resumable(work_dir: str | Path) -> tuple[str | None, list[str]]:
    """The newest checkpoint of a work directory that can be read, and what is wrong with newer ones.

    MMEngine takes the one that the file ``last_checkpoint`` names, which a kill may have left torn.
    """
    found = [p for p in Path(work_dir).glob("*.pth") if re.fullmatch(r"(epoch|iter)_\d+", p.stem)]
    problems: list[str] = []
    for path in sorted(found, key=lambda p: int(p.stem.split("_")[1]), reverse=True):
        try:
            if "message_hub" in load_checkpoint(str(path)):
                return str(path), problems
            problems.append(f"{path} has no state of a training run")
        except ValueError as error:
            problems.append(str(error))
    return None, problems
