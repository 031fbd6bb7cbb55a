"""ATSS where every image was labelled for half of the classes: with and without the hook that knows for which.

Feeds docs/results/known_classes.md.

`images50` has as many boxes, in complete images: half of the images, as many iterations. It shows how much of the AP
that the missing half costs can be had at all. An iteration of it sees twice as many boxes, so `known_long` and
`unknown_long` train twice as long: then every box is seen as often.
The annotation files are made by

    A=data/shapes_report/annotations
    python tools/make_shapes.py --out data/shapes_report --num-val 600 --seed 1
    python tools/drop_boxes.py $A/train.json --out $A/train_half_classes.json --protocol half_classes --seed 1
    python tools/drop_boxes.py $A/train.json --out $A/train_half_images.json --protocol half_images --seed 1
"""

_all = {f"{split}_dataloader.dataset.data_root": "data/shapes_report/" for split in ("train", "val", "test")}
_half = {**_all, "train_dataloader.dataset.ann_file": "annotations/train_half_classes.json"}
_epochs = 12  # twice as many as the config has

configs = dict(atss="configs/shapes/atss_r18_focal_shapes.py")
losses = dict(focal=None, detection_missing_labels="detection_missing_labels", detection="detection")
baseline = "focal"
_long = {
    "train_cfg.max_epochs": _epochs,
    "train_cfg.val_interval": _epochs // 3,
    "param_scheduler.1.end": _epochs,
    "param_scheduler.1.T_max": _epochs,
}
_known = {
    **_half,
    "custom_imports.imports": ["asl_mmdet.known_classes"],
    "train_dataloader.dataset.type": "KnownClassesCoco",
    "custom_hooks": [dict(type="KnownClassesHook")],
}
data = {
    "known": _known,
    "unknown": _half,
    "images50": {**_all, "train_dataloader.dataset.ann_file": "annotations/train_half_images.json", **_long},
    "known_long": {**_known, **_long},
    "unknown_long": {**_half, **_long},
}
seeds = (10, 11, 12)
options = {"train_cfg.val_interval": 2}
minutes = 11
