"""Three heads with focal loss, BCE and ASL on clean shapes; images and seeds are others than those of the tuning.

Feeds docs/results/detection.md and configs/shapes/metafile.yml.
"""

_root = "data/shapes_report/"

configs = dict(
    atss="configs/shapes/atss_r18_focal_shapes.py",
    fcos="configs/shapes/fcos_r18_focal_shapes.py",
    retinanet="configs/shapes/retinanet_r18_focal_shapes.py",
)
losses = dict(
    focal=None,
    detection="detection",
    detection_missing_labels="detection_missing_labels",
    bce=dict(type="CrossEntropyLoss", use_sigmoid=True),
)
baseline = "focal"
data = {"complete": {f"{split}_dataloader.dataset.data_root": _root for split in ("train", "val", "test")}}
seeds = (10, 11, 12)
options = {"train_cfg.val_interval": 2}
shapes = {"data/shapes_report": dict(num_val=600, seed=1)}
minutes = 4
