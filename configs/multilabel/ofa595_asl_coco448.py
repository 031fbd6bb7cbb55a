"""OFA-595 (arXiv 1908.09791, package ofa) with ASL (arXiv 2009.14119) on MS-COCO 2014, 448 x 448.

Paper      mAP 83.5
Here       not measured
Weights    random; --cfg-options model.backbone.checkpoint=FILE loads the ones that the package ofa publishes
Data       data/coco/{train2014,val2014,annotations}
Train      bash tools/dist_train.sh configs/multilabel/ofa595_asl_coco448.py 8    (8 GPUs x 16 images)
"""

_base_ = "../_base_/multilabel_coco.py"

model = dict(backbone=dict(type="OFA595"), neck=None, head=dict(in_channels=1536))
