"""A small ATSS with ASL on the shapes data, 6 epochs: about 3 minutes on two CPU cores.

Expect     box AP 57.6, 57.5 (seeds 0 and 1; shapes_presets in benchmarks/runs.csv)
           most of the gain over focal loss is that of its gamma (docs/results/gain.md)
Data       python tools/make_shapes.py --out data/shapes
Train      python tools/train.py configs/shapes/atss_r18_asl_shapes.py
"""

_base_ = "atss_r18_focal_shapes.py"

model = dict(
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True, type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.25
        )
    )
)
