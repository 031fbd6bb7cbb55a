"""The columns of the paper's Tables 4 and 7 in one table."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.evaluation import AveragePrecision, MultiLabelMetric
from mmpretrain.evaluation.metrics.voc_multi_label import VOCMetricMixin
from mmpretrain.registry import METRICS
from mmpretrain.structures import label_to_onehot
from terminaltables import AsciiTable
from torch import Tensor

from asl_mmdet.errors import UserError
from asl_mmdet.thresholds.matching import APPLIED


@METRICS.register_module()
class MultiLabelTable(BaseMetric):
    """MAP, CP, CR, CF1, OP, OR and OF1, as a table at the end of an evaluation, all in percent.

    ======== ==========================================================================================
    mAP      mean over the classes of the average precision of one class (the authors call it micro)
    mAP_all  average precision of all scores of all classes in one ranking
    CP, CR   mean over the classes of precision and recall; CF1 is the harmonic mean of these two
    OP, OR   precision and recall of all predictions together; OF1 is their harmonic mean
    ======== ==========================================================================================

    The last six come twice: for the scores of at least ``thr``, and, with the suffix ``_top3``, for the ``topk``
    highest scores of every image. A model with thresholds (``WithThresholds``) has a third row of the labels that it
    gave, with the suffix ``_thresholds``. mmpretrain's metrics count; labels of -1 (unannotated, or difficult in VOC)
    are left out of all. A class without a positive has no average precision or recall: the means leave it out, and the
    table says how many there are.

    Args:
        thr: The threshold, in (0, 1). The authors' code takes 0.8 for models trained with ASL.
        topk: Number of predictions an image in the second row.
        collect_device: 'cpu' or 'gpu', as in every metric.
        prefix: First part of the names; 'multi-label' by default.

    Raises:
        UserError: If an argument is out of range, or no label is positive.
    """

    default_prefix = "multi-label"

    def __init__(self, thr: float = 0.5, topk: int = 3, collect_device: str = "cpu", prefix: str | None = None) -> None:
        super().__init__(collect_device, prefix)
        if not 0 < thr < 1:
            raise UserError(f"MultiLabelTable got thr={thr}: use a number in (0, 1)")
        if topk < 1:
            raise UserError(f"MultiLabelTable got topk={topk}: use a whole number from 1")
        self.thr = thr
        self.topk = topk

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the scores and labels of a batch."""
        for sample in data_samples:
            score = sample["pred_score"].float()
            target = sample["gt_score"] if "gt_score" in sample else label_to_onehot(sample["gt_label"], len(score))
            kept = dict(pred_score=score.cpu(), gt_score=target.to("cpu", torch.int8))
            if sample.get(APPLIED):
                kept["pred_label"] = label_to_onehot(sample["pred_label"], len(score)).to("cpu", torch.int8)
            self.results.append(kept)

    def compute_metrics(self, results: list[dict[str, Tensor]]) -> dict[str, float]:
        """Compute all columns and print the table."""
        pred = torch.stack([result["pred_score"] for result in results])
        target = torch.stack([result["gt_score"] for result in results]).to(torch.int8)  # the VOC mixin keeps long
        present = (target == 1).any(0)
        if not present.any():
            raise UserError(f"none of the {len(results)} samples has a positive label")
        labels = [result["pred_label"] for result in results if "pred_label" in result]
        pred, target = pred[:, present], target[:, present]
        metrics = dict(
            mAP=AveragePrecision.calculate(pred, target).item(),
            mAP_all=AveragePrecision.calculate(pred.reshape(-1, 1), target.reshape(-1, 1)).item(),
        )
        rows = [["", "CP", "CR", "CF1", "OP", "OR", "OF1"]]
        topk = min(self.topk, pred.shape[1])
        lines: list[tuple[str, str, Tensor, dict[str, Any]]] = [
            (f"score >= {self.thr:g}", "", pred, dict(thr=self.thr)),
            (f"top {topk}", f"_top{self.topk}", pred, dict(topk=topk)),
        ]
        if labels:
            lines.append(("thresholds", "_thresholds", torch.stack(labels)[:, present].float(), dict(thr=0.5)))
        for name, suffix, values, positive in lines:
            # As float: of whole numbers, mmpretrain's counting would overwrite the labels of -1 in place.
            args = (values, target.float())
            for letter, average in (("C", "macro"), ("O", "micro")):
                precision, recall = (
                    v.item() for v in MultiLabelMetric.calculate(*args, average=average, **positive)[:2]
                )
                f1 = 2 * precision * recall / max(precision + recall, 1e-12)
                for key, value in (("P", precision), ("R", recall), ("F1", f1)):
                    metrics[f"{letter}{key}{suffix}"] = value
            rows.append([name, *(f"{metrics[key + suffix]:.1f}" for key in rows[0][1:])])
        absent = int((~present).sum())
        print_log(
            f"mAP {metrics['mAP']:.2f} (mean of {int(present.sum())} classes), {metrics['mAP_all']:.2f} (all scores "
            f"in one ranking), {len(results)} images"
            + (f"; {absent} classes without a positive are left out" if absent else "")
            + f"\n{AsciiTable(rows).table}",
            logger="current",
        )
        return metrics


@METRICS.register_module()
class VOCMultiLabelTable(VOCMetricMixin, MultiLabelTable):
    """The same for mmpretrain's ``VOC`` data set: labels that are only difficult are left out.

    Args:
        difficult_as_positive: True or False counts them as positives or negatives instead.
        **kwargs: As :class:`MultiLabelTable`.
    """
