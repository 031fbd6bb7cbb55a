"""classifier_r18_asl_shapes.py trained with 40 % of the boxes missing, and evaluated with all.

Expect     mAP 36.4, 36.6, 36.7 (seeds 0, 1, 2; shapes_multilabel_tuning in benchmarks/runs.csv)
Data       as there, and python experiments/missing_shapes.py data/shapes_tags_missing --num-train 4000
           --num-val 1000 --rate 0.4
Train      python tools/train.py configs/shapes/classifier_r18_asl_shapes_missing.py
"""

_base_ = "classifier_r18_asl_shapes.py"

train_dataloader = dict(dataset=dict(data_root="data/shapes_tags_missing/"))
