"""The oracle of missing boxes: what is taken for background only because its box was dropped costs nothing.

It is a reference for losses that leave background out: they guess what it is told. What is beyond it needs the boxes
themselves. The targets are those that the head computes from all boxes. Where a dropped box owns an anchor or a point,
its label weight is 0 and it has no box loss; all others keep their targets. So the normaliser counts the positives of
the boxes that are left.
"""

import inspect
from typing import Any

import torch
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor


@DATASETS.register_module()
class OracleCoco(CocoDataset):
    """A ``CocoDataset`` that reads a file of ``tools/drop_boxes.py`` and gives the dropped boxes too, marked.

    A dropped box of class k has the label C + 1 + k, with C classes: labels are the only thing of a box that every
    transform carries along, and background is C. :class:`OracleHook` knows them by that.
    """

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """What MMDetection makes of an image's record, and the boxes that were dropped from it."""
        info: dict[str, Any] = super().parse_data_info(raw_data_info)
        image_id = raw_data_info["raw_img_info"]["img_id"]
        dropped = super().parse_data_info({**raw_data_info, "raw_ann_info": self._dropped().get(image_id, [])})
        first = len(self.metainfo["classes"]) + 1
        info["instances"] += [{**one, "bbox_label": first + one["bbox_label"]} for one in dropped["instances"]]
        return info

    def _dropped(self) -> dict[int, list[dict[str, Any]]]:
        if not hasattr(self, "_by_image"):
            record = self.coco.dataset.get("dropped")
            if record is None:
                raise ValueError(
                    f"{self.ann_file} does not say what was dropped: OracleCoco needs a file that tools/drop_boxes.py "
                    "wrote"
                )
            self._by_image: dict[int, list[dict[str, Any]]] = {}
            for annotation in record["annotations"]:
                self._by_image.setdefault(annotation["image_id"], []).append(annotation)
        return self._by_image


@HOOKS.register_module()
class OracleHook(Hook):
    """Leave the anchors and points that dropped boxes own out of the loss, in training; see :class:`OracleCoco`.

    It takes one-stage heads that assign by ``head.assigner`` and honour -1 (ATSS, RetinaNet, GFL and others that
    MMDetection derives from ``AnchorHead``), and those whose ``get_targets`` gives labels alone (FCOS).

    Raises:
        ValueError: When training starts, if the head is another one.
    """

    def before_train(self, runner: Runner) -> None:
        """Step between the head and its assigner, or between the head and its loss."""
        model = runner.model.module if hasattr(runner.model, "module") else runner.model
        leave_out_dropped(getattr(model, "bbox_head", None))


def leave_out_dropped(head: Any) -> None:
    """Have a head leave out what boxes with a label above its ``num_classes`` own.

    Raises:
        ValueError: If it is not known how.
    """
    from mmdet.models.dense_heads import AnchorHead, FCOSHead

    if isinstance(head, AnchorHead) and getattr(head, "assigner", None) is not None:
        head.assigner = OracleAssigner(head.assigner, head.num_classes)
    elif isinstance(head, FCOSHead):
        head.loss_cls.register_forward_pre_hook(_without_dropped, with_kwargs=True)
    else:
        raise ValueError(
            f"OracleHook does not work with {type(head).__name__}: use a head that is derived from AnchorHead and has "
            "an assigner, or FCOSHead"
        )


class OracleAssigner:
    """Assigns all boxes, then has the anchors of the dropped ones ignored, which the heads give no weight.

    Args:
        assigner: That of the head.
        num_classes: Boxes with a label above it are dropped ones.
    """

    def __init__(self, assigner: Any, num_classes: int) -> None:
        self.assigner, self.num_classes = assigner, num_classes

    def assign(self, *args: Any, **kwargs: Any) -> Any:
        """As the head's assigner does, but for -1 where that assigns a dropped box."""
        bound = inspect.signature(self.assigner.assign).bind(*args, **kwargs)
        boxes = bound.arguments["gt_instances"].clone()
        is_dropped = boxes.labels > self.num_classes
        boxes.labels = torch.where(is_dropped, boxes.labels - self.num_classes - 1, boxes.labels)
        bound.arguments["gt_instances"] = boxes
        result = self.assigner.assign(*bound.args, **bound.kwargs)
        is_owned = result.gt_inds > 0
        result.gt_inds[is_owned] = result.gt_inds[is_owned].masked_fill(is_dropped[result.gt_inds[is_owned] - 1], -1)
        return result


def _without_dropped(loss: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The arguments of a loss of class indices, where labels above background become background of weight 0."""
    bound = inspect.signature(loss.forward).bind(*args, **kwargs)
    pred_name, target_name = list(bound.arguments)[:2]
    target: Tensor = bound.arguments[target_name]
    background = bound.arguments[pred_name].shape[1]
    is_dropped = target > background
    weight = bound.arguments.get("weight")
    weight = target.new_ones(target.shape, dtype=torch.float32) if weight is None else weight
    bound.arguments["weight"] = weight * ~is_dropped
    bound.arguments[target_name] = target.masked_fill(is_dropped, background)
    return bound.args, bound.kwargs
