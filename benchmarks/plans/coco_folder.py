"""Focal loss and ASL on a data set of your own in COCO format, with a small ATSS from random weights.

    COCO_FOLDER=data/bccd CLASSES=RBC,WBC,Platelets python tools/benchmark.py benchmarks/plans/coco_folder.py

The folder has annotations/train.json, annotations/val.json and images/; CLASSES names its categories, separated by
commas. Images are scaled to fit 256 x 256 and trained on for 24 epochs; SIZE and EPOCHS change that.
"""

_folder = "{{$COCO_FOLDER:data/bccd}}/"
_classes = tuple("{{$CLASSES:RBC,WBC,Platelets}}".split(","))  # noqa: SIM905
_part = dict(data_root=_folder, data_prefix=dict(img="images/"), metainfo=dict(classes=_classes))
_size, _epochs = int("{{$SIZE:256}}"), int("{{$EPOCHS:24}}")
_resize = dict(type="Resize", scale=(_size, _size), keep_ratio=True)
_train = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    _resize,
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
_test = [
    dict(type="LoadImageFromFile"),
    _resize,
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]

configs = dict(atss="configs/shapes/atss_r18_focal_shapes.py")
losses = dict(focal=None, detection="detection", detection_missing_labels="detection_missing_labels")
baseline = "focal"
seeds = (0, 1, 2)
options = {
    "train_cfg.max_epochs": _epochs,
    "train_cfg.val_interval": max(1, _epochs // 4),
    "param_scheduler.1.end": _epochs,
    "param_scheduler.1.T_max": _epochs,
    "model.bbox_head.num_classes": len(_classes),
    "train_dataloader.dataset": dict(**_part, pipeline=_train),
    "val_dataloader.dataset": dict(**_part, pipeline=_test),
    "test_dataloader.dataset": dict(**_part, pipeline=_test),
}
minutes = 8
