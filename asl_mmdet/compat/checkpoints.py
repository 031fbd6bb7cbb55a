"""Reading checkpoints without running what is in them, and finding the newest valid one."""

import importlib
import os
import re
import warnings
from collections import Counter, OrderedDict
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.utils import digit_version
from torch import Tensor, nn

from asl_mmdet.compat.restricted_pickle import restricted_pickle
from asl_mmdet.errors import UserError, first_line, stand_in

# MMEngine's checkpoints name these methods, in the log's buffers and in the one-cycle schedule. Its own loader allows
# getattr as a whole, with which a file reaches any code, and where that is not enough it loads the file unchecked.
_METHODS = {
    **{(HistoryBuffer, name): getattr(HistoryBuffer, name) for name in ("mean", "max", "min", "current")},
    **{
        (OneCycleParamScheduler, name): getattr(OneCycleParamScheduler, name)
        for name in ("_annealing_cos", "_annealing_linear")
    },
}


_STATES = ("state_dict", "model", "model_state_dict")
_AVERAGED = ("ema_state_dict", "state_dict_ema", "model_ema", "ema")  # taken where a file has only these
# What wrappers add to the names of a model: at the front, and those of compiled or sharded parts anywhere.
_WRAPPERS = re.compile(
    r"^(?:module\.)+|(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.(?:module\.)*"
)
_OTHER_SHAPE = re.compile(r"size mismatch for (\S+): .*?Size\(\[(.*?)\]\).*?Size\(\[(.*?)\]\)")


def _getattr(owner: Any, name: str) -> Any:
    try:
        return _METHODS[owner, name]
    except (KeyError, TypeError):
        raise UnpicklingError(f"it asks for {owner}.{name}") from None


def _encode(text: str, encoding: str) -> bytes:  # how a pickle of protocol 2 writes bytes
    if encoding != "latin1":
        raise UnpicklingError(f"it asks for the encoding {encoding}")
    return text.encode(encoding)


# What MMEngine's checkpoints have beyond tensors, by the names that they are pickled under. NumPy renamed a module
# between 1 and 2; a file may come from either.
_RECONSTRUCT, _SCALAR = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
_ALLOWED: dict[str, Any] = {
    "builtins.getattr": _getattr,
    "builtins.slice": slice,
    "collections.Counter": Counter,  # the milestones of a multi-step schedule
    "_codecs.encode": _encode,
    "mmengine.logging.history_buffer.HistoryBuffer": HistoryBuffer,
    "mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler": OneCycleParamScheduler,
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    **{f"numpy.{core}.multiarray._reconstruct": _RECONSTRUCT for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _SCALAR for core in ("core", "_core")},
}
# The same for PyTorch before 2.6, with the tensors; a pickle of protocol 2 has the old name of builtins.
_ALL_ALLOWED = {
    **_ALLOWED,
    **{name.replace("builtins", "__builtin__"): value for name, value in _ALLOWED.items()},
    **{str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)},
    "collections.OrderedDict": OrderedDict,
    "torch.Size": torch.Size,
    "torch._utils._rebuild_parameter": torch._utils._rebuild_parameter,
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
}


_kept: dict[tuple[Any, ...], dict[str, Any]] = {}  # the last one that was read to be read again


def load_checkpoint(path: str, map_location: Any = "cpu", keep: bool = False) -> dict[str, Any]:
    """Read a checkpoint of tensors, numbers and text, and nothing that runs.

    PyTorch 2.6 and newer do it by ``torch.load(weights_only=True)`` and a list of what else is allowed. Older versions
    take no such list: what ``weights_only`` refuses there is read by :mod:`asl_mmdet.compat.restricted_pickle`.

    Args:
        path: A local file.
        map_location: As for ``torch.load``.
        keep: Have the next call for the same file give the same again, without reading it.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is truncated or no checkpoint, or if it carries code.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no checkpoint {path}")
    stat = os.stat(path)
    key = os.path.abspath(path), stat.st_size, stat.st_mtime_ns, str(map_location)
    checkpoint = _kept[key] if key in _kept else _read(path, map_location)
    _kept.clear()
    if keep:
        _kept[key] = checkpoint
    return dict(checkpoint)


def _read(path: str, map_location: Any) -> dict[str, Any]:
    try:
        checkpoint = _load(path, map_location)
    except Exception as error:  # torch raises many types for a file that is truncated or something else
        raise UserError(_why_not(path, error)) from error
    if not isinstance(checkpoint, dict):
        raise UserError(f"{path} is not a checkpoint: it holds a {type(checkpoint).__name__}")
    return checkpoint


def _why_not(path: str, error: Exception) -> str:
    """In words why a file could not be read."""
    with suppress(OSError), open(path, "rb") as file:
        if instead := stand_in(file.read(1000)):
            return f"{path} is not a checkpoint: {instead}"
    if not isinstance(error, UnpicklingError):
        return f"{path} is truncated, or not a checkpoint ({first_line(error)})"
    wanted = re.search(r"(?:GLOBAL|global) (\S+)|it asks for (.+)", str(error))
    if wanted is None:
        # What PyTorch says first is that another option "will likely succeed".
        said = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
        return f"{path} is not a checkpoint that torch can read: {said[1] if said else first_line(error)}"
    return (
        f"{path} is refused: it holds not only weights but also code ({wanted[1] or wanted[2]}), which runs when it is "
        "loaded. If you trust who made it, take the weights out: "
        f"torch.save({{'state_dict': torch.load({path!r}, weights_only=False)['state_dict']}}, 'weights.pth')"
    )


def _load(path: str, map_location: Any) -> Any:
    if digit_version(torch.__version__) >= digit_version("2.6"):
        dtypes = {type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"}
        named = [(value, name) for name, value in _ALLOWED.items()]
        with torch.serialization.safe_globals([*named, *dtypes]):
            return torch.load(path, map_location=map_location, weights_only=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TypedStorage is deprecated")  # by PyTorch 2.1's own loader
        try:
            return torch.load(path, map_location=map_location, weights_only=True)
        except UnpicklingError:
            module = restricted_pickle(_ALL_ALLOWED, buildable=(HistoryBuffer, np.ndarray, np.dtype, OrderedDict))
            return torch.load(path, map_location=map_location, pickle_module=module, weights_only=False)


def weights_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The weights in a checkpoint, by the names that they have in the model itself.

    They are below ``state_dict``, ``model`` or ``model_state_dict``, or two of them, or are all there is; in a file
    that has only averaged weights, these. What DistributedDataParallel, ``torch.compile`` and the like put before or
    into the names is left out.
    """
    state: Any = checkpoint
    keys = (*_STATES, *_AVERAGED)
    while inner := next((found for key in keys if isinstance(found := state.get(key), dict)), None):
        state = inner
    named = [(name, value) for name, value in state.items() if isinstance(name, str)]
    weights = OrderedDict((_WRAPPERS.sub("", name), value) for name, value in named)
    if metadata := getattr(state, "_metadata", None):  # versions of modules, by which PyTorch reads older ones
        weights._metadata = OrderedDict(  # type: ignore[attr-defined]
            (_WRAPPERS.sub("", f"{name}.")[:-1], value) for name, value in metadata.items()
        )
    return weights


def weights_for(model: nn.Module, path: str) -> dict[str, Any]:
    """The weights in a file by the names of a model; who loads the file next gets the same."""
    checkpoint = load_checkpoint(path, keep=True)
    weights = weights_of(checkpoint)
    try:
        named = named_as(model, weights)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if named is not weights:
        _kept.update({key: {**checkpoint, "state_dict": named} for key in _kept})
    return named


def named_as(model: nn.Module, weights: dict[str, Any]) -> dict[str, Any]:
    """The weights by the names of a model that was saved as a part of another, such as ``student`` or ``model``.

    They are as they were where a name fits, or where that part has not all weights of the model.

    Raises:
        UserError: If several parts have them.
    """
    own = [name for name in model.state_dict() if not name.endswith("num_batches_tracked")]
    if not own or any(name in weights for name in own):
        return weights
    fronts = sorted({name.removesuffix(own[0]) for name in weights if name.endswith(f".{own[0]}")})
    fronts = [front for front in fronts if all(front + name in weights for name in own)]
    if len(fronts) > 1:
        raise UserError(
            f"it has the weights of this model more than once, below {' and '.join(front[:-1] for front in fronts)}. "
            f"Save one of them alone, with weights = torch.load(...)['state_dict'] and part = {fronts[0]!r}: "
            "torch.save({k[len(part):]: v for k, v in weights.items() if k.startswith(part)}, 'one.pth')"
        )
    if not fronts:
        return weights
    start = len(fronts[0])
    named = OrderedDict((name[start:], value) for name, value in weights.items() if name.startswith(fronts[0]))
    inner = getattr(weights, "_metadata", {}).items()
    named._metadata = OrderedDict(  # type: ignore[attr-defined]
        (f"{name}."[start:-1], value) for name, value in inner if f"{name}.".startswith(fronts[0])
    )
    return named


def load_weights(model: nn.Module, weights: dict[str, Any]) -> list[str]:
    """Put weights into a model as PyTorch does, which knows older layouts of its modules and MMDetection's.

    Returns:
        What does not fit, in words; what the model has not is passed over.
    """
    try:
        missing = model.load_state_dict(weights, strict=False).missing_keys
    except RuntimeError as error:
        found = list(_OTHER_SHAPE.finditer(str(error)))
        if not found:  # something that is no tensor
            return [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
        return [f"{one[1]} ({one[3]}): ({one[2]}) there" for one in found]
    shapes = {name: tuple(getattr(value, "shape", ())) for name, value in model.state_dict().items()}
    return [f"{name} {shapes.get(name, '')}: missing" for name in missing if not name.endswith("num_batches_tracked")]


def load_for_mmengine(path: str, map_location: Any = "cpu") -> dict[str, Any]:
    """:func:`load_checkpoint` in the place of MMEngine's loader of local files (:mod:`asl_mmdet.compat.patches`)."""
    checkpoint = load_checkpoint(path, map_location)
    has_more = any(key in checkpoint for key in (*_STATES, *_AVERAGED))
    return {**(checkpoint if has_more else {}), "state_dict": weights_of(checkpoint)}


def loader_is_broken() -> bool:
    """Whether MMEngine cannot load what it saved: its older versions with PyTorch 2.6's stricter ``torch.load``."""
    knows = hasattr(importlib.import_module("mmengine.runner.checkpoint"), "get_torch_safe_globals")
    return digit_version(torch.__version__) >= digit_version("2.6") and not knows


def last_checkpoint(work_dir: Path) -> Path:
    """The checkpoint that a training in this folder, which may have been moved since, wrote last."""
    return work_dir / Path((work_dir / "last_checkpoint").read_text(encoding="utf-8", errors="replace").strip()).name


def has_state_of_run(checkpoint: dict[str, Any]) -> bool:
    """Whether MMEngine can resume the run that wrote it; weights that were published mostly lack what that needs."""
    meta = checkpoint.get("meta")
    return "message_hub" in checkpoint and isinstance(meta, dict) and {"epoch", "iter"} <= meta.keys()


def number_fitting(model: nn.Module, weights: dict[str, Any]) -> int:
    """How many tensors of a model are among the weights, by name and shape."""
    own = {name: getattr(value, "shape", None) for name, value in model.state_dict().items()}
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    return sum(name in own and value.shape == own[name] for name, value in tensors.items())


def dataset_meta_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What MMEngine wrote into a checkpoint of the data set that it was trained on, such as its classes."""
    return (checkpoint.get("meta") or {}).get("dataset_meta") or {}


def not_numbers(weights: dict[str, Any]) -> list[str]:
    """The names of the weights in which there is a NaN, as a training that diverged leaves them."""
    return [name for name, value in weights.items() if isinstance(value, Tensor) and value.isnan().any()]


def find_resumable(work_dir: str | Path) -> tuple[str | None, list[str]]:
    """The newest checkpoint of a work directory that can be read, and what is wrong with newer ones.

    MMEngine takes the one that the file ``last_checkpoint`` names, which a kill may have left truncated.
    """
    found = [p for p in Path(work_dir).glob("*.pth") if re.fullmatch(r"(epoch|iter)_\d+", p.stem)]
    problems: list[str] = []
    for path in sorted(found, key=lambda p: int(p.stem.split("_")[1]), reverse=True):
        try:
            if has_state_of_run(load_checkpoint(str(path))):
                return str(path), problems
            problems.append(f"{path} has no state of a training run")
        except UserError as error:
            problems.append(str(error))
    return None, problems
