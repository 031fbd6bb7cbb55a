"""What this package replaces in others: all of it is in this file, with the reason.

Importing ``asl_mmdet`` applies :data:`AT_IMPORT` and, where mmcv has no compiled ops,
:func:`asl_mmdet.compat.mmcv_ops.install_fallback`, which puts a module in the place of ``mmcv._ext``. The commands
apply :data:`SAFE_LOADER` and :data:`NAMED_IMAGES` too. What hooks change in a model or a runner, they take back when
the training ends.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmengine.evaluator import BaseMetric
from mmengine.runner import FlexibleRunner, Runner
from mmengine.runner.checkpoint import CheckpointLoader

from asl_mmdet.compat import checkpoints
from asl_mmdet.errors import UserError, first_line

_MARK = "_replaced_by_asl_mmdet"
Function = Callable[..., Any]


@dataclass(frozen=True)
class Patch:
    """A function of another package, and what takes its place.

    Args:
        reason: Why.
        get: Gives the function that is there now.
        put: Puts one there.
        wrap: Makes the replacement from the original.
    """

    reason: str
    get: Callable[[], Function]
    put: Callable[[Function], None]
    wrap: Callable[[Function], Function]

    def apply(self) -> None:
        """Put the replacement there, once: also after this module was loaded anew."""
        original = self.get()
        if not hasattr(original, _MARK):  # a wrapper that another package has put around ours has the mark too
            replacement = functools.wraps(original)(self.wrap(original))
            setattr(replacement, _MARK, (replacement, original))
            self.put(replacement)

    def undo(self) -> None:
        """Put the original back, unless another package has put its own wrapper around the replacement."""
        current = self.get()
        mark = getattr(current, _MARK, None)
        if mark and mark[0] is current:
            self.put(mark[1])


def _method(owner: type, name: str, reason: str, wrap: Callable[[Function], Function]) -> Patch:
    return Patch(reason, lambda: getattr(owner, name), lambda function: setattr(owner, name, function), wrap)


def _with_sound_ids(evaluate: Function) -> Function:
    def with_sound_ids(self: BaseMetric, size: int) -> Any:
        from asl_mmdet.coco.evaluation import prepare

        prepare(self)
        return evaluate(self, size)

    return with_sound_ids


def _with_needed_hooks(register_hooks: Function) -> Function:
    def with_needed_hooks(self: Any, *args: Any, **kwargs: Any) -> None:
        from asl_mmdet.hooks.automatic import add_needed_hooks

        register_hooks(self, *args, **kwargs)
        add_needed_hooks(self)

    return with_needed_hooks


def _with_name_of_image(transform: Function) -> Function:
    def with_name_of_image(self: Any, results: dict[str, Any]) -> Any:
        try:
            return transform(self, results)
        except Exception as error:  # of OpenCV, Pillow, TurboJPEG, tifffile or a file's storage
            raise UserError(
                f"the image {results.get('img_path')} cannot be read ({first_line(error)}). tools/check_dataset.py "
                "finds all such"
            ) from error

    return with_name_of_image


_HOOKS = "class_weight and the losses that adapt themselves work without a hook in the config, in any script"
AT_IMPORT = (
    _method(BaseMetric, "evaluate", "COCO's evaluation is wrong for some ids of an annotation file", _with_sound_ids),
    *(_method(runner, "register_hooks", _HOOKS, _with_needed_hooks) for runner in (Runner, FlexibleRunner)),
)
SAFE_LOADER = Patch(
    "MMEngine's loader runs code that a checkpoint may hold, and its older versions cannot read their own checkpoints "
    "with PyTorch 2.6 and newer",
    lambda: CheckpointLoader._schemes[""],
    lambda function: CheckpointLoader.register_scheme(prefixes="", loader=function, force=True),
    lambda loader: lambda path, map_location="cpu": checkpoints.load_for_mmengine(path, map_location),
)
NAMED_IMAGES = _method(
    LoadImageFromFile, "transform", "OpenCV does not say which file is empty or broken", _with_name_of_image
)


def apply() -> None:
    """Apply what an import of the package applies; the loader where MMEngine's own cannot read what it saved."""
    for patch in AT_IMPORT:
        patch.apply()
    if checkpoints.loader_is_broken():
        SAFE_LOADER.apply()


def undo() -> None:
    """Put all originals back."""
    for patch in (*AT_IMPORT, SAFE_LOADER, NAMED_IMAGES):
        patch.undo()
