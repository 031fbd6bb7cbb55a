"""Images of a data set with the ground truth and with what detectors found, side by side."""

from contextlib import AbstractContextManager
from typing import Any

import cv2
import matplotlib
import mmcv
import numpy as np
import torch
from mmdet.registry import DATASETS, VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData
from numpy.typing import NDArray

from asl_mmdet.errors import UserError
from asl_mmdet.thresholds.matching import APPLIED

WHITE = (255, 255, 255)
SCORE_THR = 0.3


def plain_text() -> AbstractContextManager[Any]:
    """Draw a ``$`` in the name of a class, which Matplotlib takes for the start of a formula."""
    return matplotlib.rc_context({"text.parse_math": False})


def first_of_test_set(cfg: Config, number: int) -> Any:
    """The test set with only its first images. The annotation file is read; what it says of the others is not kept."""
    options = cfg.test_dataloader.dataset
    if {"ann_file", "data_prefix", "data_root"} & options.keys() and options.get("indices") is None:
        options = {**options, "indices": number}  # a wrapper does not take it
    return DATASETS.build(options)


def draw_detections(cfg: Config, predictions: dict[str, list[dict[str, Any]]], number: int, columns: int = 1) -> Any:
    """The first images of the test set, each with the ground truth left and then the predictions of every run.

    Args:
        cfg: Config of a detector.
        predictions: What ``tools/test.py --out`` wrote, in the order of the data set, by the name to show.
        number: Number of images, at most.
        columns: Images side by side.

    Returns:
        The sheet, (H, W, 3) uint8 in BGR; images are scaled to 256 pixels.

    Raises:
        UserError: If there is no image to draw.
    """
    register_all_modules()
    number = min([number, *(len(images) for images in predictions.values())])
    if number < 1:
        raise UserError("there is no image to draw: use a number from 1, and predictions of at least one image")
    dataset = first_of_test_set(cfg, number)
    visualizer = VISUALIZERS.build(dict(type="DetLocalVisualizer", name="pictures"))
    visualizer.dataset_meta = dataset.metainfo
    strips = []
    for i in range(number):
        info = dataset.get_data_info(i)
        image = mmcv.imread(info["img_path"], channel_order="rgb")
        scale = 256 / max(image.shape[:2])
        image = mmcv.imrescale(image, scale)
        truth = InstanceData(
            bboxes=torch.tensor([instance["bbox"] for instance in info["instances"]]).reshape(-1, 4),
            labels=torch.tensor([instance["bbox_label"] for instance in info["instances"]], dtype=torch.long),
        )
        found = {name: InstanceData(**images[i]["pred_instances"]) for name, images in predictions.items()}
        strip = []
        for title, instances in {"ground truth": truth, **found}.items():
            instances.bboxes = instances.bboxes * scale
            is_truth = instances is truth
            sample = DetDataSample(**{"gt_instances" if is_truth else "pred_instances": instances})
            is_cut = not is_truth and predictions[title][i].get(APPLIED)
            threshold = 0.0 if is_cut else SCORE_THR
            options = dict(draw_gt=is_truth, draw_pred=not is_truth, pred_score_thr=threshold)
            with plain_text():
                visualizer.add_datasample("", image, sample, **options)
            picture = mmcv.impad(visualizer.get_image()[..., ::-1], padding=(2, 20, 2, 2), pad_val=WHITE)
            cv2.putText(picture, title, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
            strip.append(picture)
        strips.append(np.hstack(strip))
    height, width = np.max([strip.shape[:2] for strip in strips], axis=0)
    strips += [np.full((height, width, 3), 255, np.uint8)] * (-number % columns)
    padded: list[NDArray[Any]] = [mmcv.impad(strip, shape=(height, width), pad_val=WHITE) for strip in strips]
    return np.vstack([np.hstack(padded[i : i + columns]) for i in range(0, len(padded), columns)])
