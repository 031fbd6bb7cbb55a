"""Class weights by frequency on the shapes data, whose rarest class has 1/24 of the boxes of the most frequent; ATSS.

Feeds docs/results/class_weights.md.

Focal loss and the preset, each without weights, with inverse frequency and with the effective number (arXiv 1901.05555)
on the positives. Compare AP and the means of the rare, common and frequent third with the loss of the same name.
"""

_root = "data/shapes_report/"
_losses = dict(
    focal=dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=2.0, gamma_neg=2.0, clip=0.0, alpha=0.25),
    detection=dict(preset="detection"),
)
_weights = dict(
    none=None, inverse_frequency="inverse_frequency", effective_number=dict(type="effective_number", beta=0.999)
)

configs = dict(atss="configs/shapes/atss_r18_focal_shapes.py")
losses = {
    f"{loss}_{weight}" if given else loss: dict(block, class_weight=given)
    for loss, block in _losses.items()
    for weight, given in _weights.items()
}
baseline = "focal"
data = {"complete": {f"{split}_dataloader.dataset.data_root": _root for split in ("train", "val", "test")}}
seeds = (10, 11, 12)
options = {"train_cfg.val_interval": 2}
shapes = {"data/shapes_report": dict(num_val=600, seed=1)}
minutes = 11
