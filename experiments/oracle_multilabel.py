"""The oracle of missing labels for classifiers: a class that an image has, but whose label was dropped, costs nothing.

It is to classifiers what oracle.py is to detectors: the ceiling of every loss that only leaves out what it takes for a
missing label. :class:`asl_mmdet.multilabel.PartialLabelLoss` gives unknown labels, -1, no loss.
"""

from typing import Any

import numpy as np
from mmpretrain.registry import DATASETS

from asl_mmdet.coco.format import read_json
from asl_mmdet.multilabel import CocoMultiLabel
from experiments.oracle import dropped_by_image


@DATASETS.register_module()
class OracleCocoMultiLabel(CocoMultiLabel):
    """A ``CocoMultiLabel`` that reads a file of ``tools/drop_boxes.py`` and gives the dropped labels as unknown.

    The label of a class is dropped where no box of it is left in the image.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """The images with ``gt_score``: (C,), 1 where the class is labelled, -1 where it was, else 0."""
        data_list = super().load_data_list()
        content = read_json(self.ann_file)
        dropped = dropped_by_image(content, self.ann_file)
        names = {category["id"]: category["name"] for category in content["categories"]}
        for info in data_list:
            gone = {names[annotation["category_id"]] for annotation in dropped.get(info["img_id"], [])}
            info["gt_score"] = -np.isin(self.CLASSES, list(gone)).astype(np.float32)
            info["gt_score"][info["gt_label"]] = 1
        return data_list
