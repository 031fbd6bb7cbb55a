"""COCO's AP without the classes that an image was not labelled for."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS

from asl_mmdet.coco.boxes import corners, overlaps
from asl_mmdet.coco.evaluation import exact
from asl_mmdet.coco.known_categories import META_KEY
from asl_mmdet.errors import UserError


@METRICS.register_module()
class KnownClassesCocoMetric(CocoMetric):
    """COCO's metrics; a class that an image was not labelled for is left out there, as LVIS's evaluation does.

    Predictions of such a class in such an image are dropped. So are its boxes: where only some objects of a class have
    one (``not_exhaustive_category_ids``), a prediction without a box may be right.

    Classes go by name. One that ``ann_file`` does not have has no AP, and the mean leaves it out.

    With ``unknown_class``, predictions on boxes of that category count neither as right nor as wrong, whatever their
    class: those that reach the IoU with one of them and match no other box.

    Args:
        *args: As ``CocoMetric``.
        metric: As there, without 'proposal' and 'proposal_fast', which know no classes.
        unknown_class: The name of the category of boxes whose class nobody knows, as the data set has it.
        **kwargs: As ``CocoMetric``.

    Raises:
        UserError: If ``metric`` is for proposals, there is no ``ann_file``, or a data sample has no ``known_classes``.
    """

    def __init__(
        self, *args: Any, metric: str | list[str] = "bbox", unknown_class: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, metric=metric, **kwargs)
        self.unknown_class = unknown_class
        if wrong := [name for name in self.metrics if name.startswith("proposal")]:
            raise UserError(f"KnownClassesCocoMetric got metric={wrong[0]!r}: proposals have no class; use 'bbox'")
        if self._coco_api is None:
            raise UserError("KnownClassesCocoMetric got no ann_file: name the file that the data set reads")

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the predictions of the known classes."""
        if any(META_KEY not in sample for sample in data_samples):
            raise UserError(
                f"KnownClassesCocoMetric: a data sample has no {META_KEY}; the data set must be a KnownClassesCoco"
            )
        super().process(data_batch, data_samples)
        for (gt, result), sample in zip(self.results[-len(data_samples) :], data_samples, strict=True):
            gt[META_KEY] = sample[META_KEY]
            kept = np.isin(result["labels"], sample[META_KEY])
            for key, value in result.items():
                if isinstance(value, np.ndarray):
                    result[key] = value[kept]
                elif isinstance(value, list):  # encoded masks
                    result[key] = [one for one, keep in zip(value, kept, strict=True) if keep]

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Drop the boxes of classes that are not known, and evaluate as COCO does."""
        coco = self._coco_api
        ids = {category["name"]: i for i, category in coco.cats.items()}
        for name in self.dataset_meta["classes"]:
            if name not in ids:
                ids[name] = max(ids.values()) + 1
                coco.cats[ids[name]] = dict(id=ids[name], name=name)
        unknown = {i for i, category in coco.cats.items() if category["name"] == self.unknown_class}
        self.cat_ids = exact("categories", [ids[name] for name in self.dataset_meta["classes"]])
        for gt, _ in results:
            known = {self.cat_ids[label] for label in gt[META_KEY]}
            for annotation in coco.imgToAnns[gt["img_id"]]:
                if annotation["category_id"] not in known | unknown:
                    annotation["iscrowd"] = annotation["ignore"] = 1  # no prediction of its class is left to match it
        added = dict(self._neither_right_nor_wrong(results, unknown))
        coco.anns |= added
        for annotation in added.values():
            coco.imgToAnns[annotation["image_id"]].append(annotation)
        try:
            return super().compute_metrics(results)
        finally:
            for number, annotation in added.items():
                coco.imgToAnns[annotation["image_id"]].remove(annotation)
                del coco.anns[number]

    def _neither_right_nor_wrong(self, results: list[Any], unknown: set[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Boxes to ignore by id: one of its class for every prediction that touches a box of the unknown class.

        COCO ignores boxes of an area outside its range. With ``iscrowd`` it would ignore every prediction inside.
        """
        coco = self._coco_api
        number = max(coco.anns, default=0)
        for gt, found in results:
            there = [a for a in coco.imgToAnns[gt["img_id"]] if a["category_id"] in unknown and not a.get("iscrowd")]
            touching = overlaps(found["bboxes"], corners([annotation["bbox"] for annotation in there])) > 0
            for prediction, place in np.argwhere(touching):
                number += 1
                category = self.cat_ids[found["labels"][prediction]]
                yield number, {**there[place], "id": number, "category_id": category, "area": np.inf}
