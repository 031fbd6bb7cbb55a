"""The focal IoU weight of Calibrated Teacher, for detectors whose training set lacks boxes.

Wang et al., 'Calibrated Teacher for Sparsely Annotated Object Detection', AAAI 2023
(https://arxiv.org/abs/2303.07582): a background anchor whose predicted box hardly overlaps any labelled object may be
on one that nobody labelled, and has a smaller weight in the classification loss. This is only the weight, without the
paper's teacher.
"""

from typing import Any

import torch
from mmdet.models.dense_heads import ATSSHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor, nn


def focal_iou_weight(iou: Tensor, alpha: float, gamma: float, bias: float, scale: float) -> Tensor:
    """The weight of a background anchor: b + k (1 - b) (-alpha u^gamma log(1.00001 - u)), u its predicted box's IoU.

    Args:
        iou: The largest IoU of the predicted box with the labelled objects, any shape, in [0, 1].
        alpha: alpha.
        gamma: gamma.
        bias: b.
        scale: k.

    Returns:
        The weights, of the same shape; b where nothing overlaps.
    """
    return bias + scale * (1 - bias) * (-alpha * iou**gamma * torch.log(1.00001 - iou))


@MODELS.register_module()
class FocalIoULoss(nn.Module):
    """A classification loss with the focal IoU weight on background; for :class:`FocalIoUATSSHead`.

    The defaults are those of the authors' configuration.

    Args:
        loss: The loss that is weighted.
        alpha: As for :func:`focal_iou_weight`, and so are ``gamma``, ``bias`` and ``scale``.
        detach: Take the weights as constants in the backward pass. The authors do not, so their boxes learn from it.
        use_sigmoid: Must be True; MMDetection's heads read it here.
    """

    def __init__(
        self,
        loss: dict[str, Any],
        alpha: float = 0.25,
        gamma: float = 2.0,
        bias: float = 0.5,
        scale: float = 3.0,
        detach: bool = False,
        use_sigmoid: bool = True,
    ) -> None:
        super().__init__()
        if not use_sigmoid:
            raise ValueError("FocalIoULoss got use_sigmoid=False: write use_sigmoid=True")
        self.loss = MODELS.build(loss)
        self.options = dict(alpha=alpha, gamma=gamma, bias=bias, scale=scale)
        self.detach, self.use_sigmoid = detach, use_sigmoid

    def weight_of(self, iou: Tensor) -> Tensor:
        """The weights of background anchors whose predicted boxes have these IoUs."""
        return focal_iou_weight(iou.detach() if self.detach else iou, **self.options)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The loss; the weights come with its arguments."""
        return self.loss(*args, **kwargs)


@MODELS.register_module()
class FocalIoUATSSHead(ATSSHead):
    """MMDetection's ``ATSSHead``, but that it weighs the background for a :class:`FocalIoULoss`."""

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        centernesses: list[Tensor],
        batch_gt_instances: list[Any],
        *args: Any,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The losses; the labelled boxes are kept for those of the levels."""
        self._boxes = [instances.bboxes for instances in batch_gt_instances]
        try:
            return super().loss_by_feat(cls_scores, bbox_preds, centernesses, batch_gt_instances, *args, **kwargs)
        finally:
            del self._boxes

    def loss_by_feat_single(
        self,
        anchors: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        centerness: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """The losses of a level."""
        if isinstance(self.loss_cls, FocalIoULoss):
            predicted = bbox_pred.permute(0, 2, 3, 1).reshape(len(anchors), -1, 4)
            rows = []
            for image, boxes in enumerate(self._boxes):
                decoded = self.bbox_coder.decode(anchors[image], predicted[image])
                iou = bbox_overlaps(decoded, boxes) if len(boxes) else decoded.new_zeros(len(decoded), 1)
                rows.append(self.loss_cls.weight_of(iou.amax(1)))
            is_background = labels == self.num_classes
            label_weights = torch.where(is_background, label_weights * torch.stack(rows), label_weights)
        return super().loss_by_feat_single(
            anchors, cls_score, bbox_pred, centerness, labels, label_weights, *args, **kwargs
        )
