"""RetinaNet (arXiv 1708.02002) with a ResNet-50 and ASL (arXiv 2009.14119) on COCO, 1x schedule.

Baseline   box AP 36.5 on val2017 with focal loss (MMDetection's model zoo)
ASL        not measured on COCO yet; its parameters were chosen on the shapes data (docs/results/detection.md)
Train      python tools/train.py configs/retinanet_r50_asl.py
           bash tools/dist_train.sh configs/retinanet_r50_asl.py 8    (the learning rate is for 8 GPUs x 2 images)
"""

_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"

custom_imports = dict(imports=["asl_mmdet"], allow_failed_imports=False)

model = dict(
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True, type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.25
        )
    )
)
