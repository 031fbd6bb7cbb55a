"""The weights of classes that a loss asks for by name or by frequency."""

import functools
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from asl_mmdet.coco.label_counts import count_labels
from asl_mmdet.hooks._common import unwrapped_model
from asl_mmdet.losses import AsymmetricLoss

_SHOWN = 30  # so many classes are logged


@HOOKS.register_module()
class ClassWeightHook(Hook):
    """Give every :class:`~asl_mmdet.losses.AsymmetricLoss` with a ``class_weight`` the classes of the training set.

    It does so when training starts, also when it resumes, and logs the weights. Every process counts for itself, all of
    the training set, as its ``get_cat_ids`` has it: boxes for a detector, images for a classifier.

    A config need not name it: MMEngine's ``Runner`` gets one where a loss of its model needs it
    (:func:`asl_mmdet.hooks.automatic.add_needed_hooks`).

    Raises:
        ValueError: When training starts, if no loss of the model has a ``class_weight``; if the training set does not
            name its classes or cannot count them; if a weight is for no class, or their number is not that of the
            classes.
    """

    def before_train(self, runner: Runner) -> None:
        """Find the losses and their weights."""
        losses = weighted_losses(unwrapped_model(runner))
        if not losses:
            raise ValueError(
                "ClassWeightHook finds no AsymmetricLoss with a class_weight in the model: give the loss one, or drop "
                "the hook"
            )
        dataset = runner.train_dataloader.dataset
        classes = (getattr(dataset, "metainfo", None) or {}).get("classes")
        if not classes:
            raise ValueError(
                f"class_weight of {next(iter(losses))} is for the classes of the training set, and its "
                f"{type(dataset).__name__} has no metainfo with classes: write them into the data set's metainfo"
            )
        device = next(runner.model.parameters()).device

        @functools.cache
        def counts() -> Sequence[int]:
            return count_labels(dataset, len(classes))

        for path, loss in losses.items():
            weights = loss.set_classes(classes, counts)
            loss.to(device)
            assert weights is not None
            text = ", ".join(f"{name} {w:.3g}" for name, w in zip(classes[:_SHOWN], weights.tolist(), strict=False))
            more = f" and {len(classes) - _SHOWN} more" if len(classes) > _SHOWN else ""
            runner.logger.info(f"class_weight of {path}, {loss.class_weight_on}: {text}{more}")
        if counts.cache_info().currsize and (unseen := [c for c, n in zip(classes, counts(), strict=True) if not n]):
            runner.logger.warning(
                f"{len(unseen)} classes have no label in the training set, and class_weight 1: "
                f"{', '.join(unseen[:_SHOWN])}"
            )


def weighted_losses(model: nn.Module) -> dict[str, AsymmetricLoss]:
    """The losses of a model that have a ``class_weight``, by their paths."""
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, AsymmetricLoss) and module.class_weight is not None
    }
