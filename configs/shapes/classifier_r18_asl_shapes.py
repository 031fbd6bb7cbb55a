"""A small classifier with ASL on the shapes data, 8 epochs: about 4 minutes on two CPU cores.

Expect     mAP 46.7, 47.3, 47.3 (seeds 0, 1, 2; shapes_multilabel_tuning in benchmarks/runs.csv)
Data       python tools/make_shapes.py --out data/shapes_tags --num-train 4000 --num-val 1000
Train      python tools/train.py configs/shapes/classifier_r18_asl_shapes.py
"""

_base_ = "../_base_/shapes_multilabel.py"

model = dict(
    head=dict(
        loss=dict(
            type="mmdet.AsymmetricLoss",
            use_sigmoid=True,
            gamma_pos=0.0,
            gamma_neg=4.0,
            clip=0.05,
            alpha=None,
            detach_focusing=True,
        )
    )
)
