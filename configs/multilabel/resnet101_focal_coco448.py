"""The twin of resnet101_asl_coco448.py with focal loss, gamma 2, as ASL with two equal gammas and no alpha.

Paper      mAP 83.8 (ASL 85.0)
Here       not measured
Data       data/coco/{train2014,val2014,annotations}
Train      bash tools/dist_train.sh configs/multilabel/resnet101_focal_coco448.py 8    (8 GPUs x 16 images)
"""

_base_ = "resnet101_asl_coco448.py"

model = dict(head=dict(loss=dict(gamma_pos=2.0, gamma_neg=2.0, clip=0.0, detach_focusing=False)))
val_evaluator = dict(thr=0.5)
test_evaluator = val_evaluator
