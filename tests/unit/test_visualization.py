"""Drawing reads the images that it draws, and no others."""

from pathlib import Path

import pytest
import torch
from commands import ROOT
from mmengine.config import Config

from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.runs.pictures import draw_detections


@pytest.fixture
def cfg(tmp_path):
    root = make_shapes(tmp_path / "shapes", num_train=2, num_val=5)
    cfg = Config.fromfile(ROOT / "configs/shapes/atss_r18_asl_shapes.py")
    cfg.test_dataloader.dataset.data_root = f"{root}/"
    return cfg


def predictions(number):
    nothing = dict(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0, dtype=torch.long))
    return {"ASL": [dict(pred_instances=dict(nothing)) for _ in range(number)]}


@pytest.mark.parametrize("number, columns, rows", [(1, 1, 1), (1, 2, 1), (3, 2, 2), (9, 2, 3)])
def test_any_number_of_images_is_laid_out(cfg, number, columns, rows):
    sheet = draw_detections(cfg, predictions(5), number, columns)
    assert sheet.shape == (rows * (256 + 22), 2 * columns * (256 + 4), 3)


def test_images_that_are_not_drawn_are_not_read(cfg):
    before = draw_detections(cfg, predictions(5), 2)
    folder = Path(cfg.test_dataloader.dataset.data_root) / "val"
    for path in sorted(folder.glob("*.jpg"))[2:]:
        path.unlink()
    assert (draw_detections(cfg, predictions(5), 2) == before).all()


@pytest.mark.parametrize("number, runs", [(0, predictions(5)), (-1, predictions(5)), (2, predictions(0))])
def test_nothing_to_draw_is_refused(cfg, number, runs):
    with pytest.raises(ValueError, match="there is no image to draw"):
        draw_detections(cfg, runs, number)
