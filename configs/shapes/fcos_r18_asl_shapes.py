"""A small FCOS with ASL on the shapes data, 6 epochs.

Expect     box AP 46.8, 41.0 (seeds 0 and 1; shapes_presets in benchmarks/runs.csv)
Data       python tools/make_shapes.py --out data/shapes
Train      python tools/train.py configs/shapes/fcos_r18_asl_shapes.py
"""

_base_ = "fcos_r18_focal_shapes.py"

model = dict(
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True, type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.25
        )
    )
)
