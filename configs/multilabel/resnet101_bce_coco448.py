"""The twin of resnet101_asl_coco448.py with binary cross-entropy.

Paper      mAP 83.3 (ASL 85.0)
Here       not measured
Data       data/coco/{train2014,val2014,annotations}
Train      bash tools/dist_train.sh configs/multilabel/resnet101_bce_coco448.py 8    (8 GPUs x 16 images)
"""

_base_ = "resnet101_asl_coco448.py"

model = dict(head=dict(loss=dict(_delete_=True, type="CrossEntropyLoss", use_sigmoid=True)))
val_evaluator = dict(thr=0.5)
test_evaluator = val_evaluator
