"""FCOS with a TResNet-M (arXiv 2003.13630) and ASL on COCO: the detector of the ASL paper (arXiv 2009.14119).

Baseline   box AP 44.0 with focal loss (the paper)
ASL        box AP 44.4 (the paper; its schedule and gammas are not in the text, so these are MMDetection's 2x schedule
           with scales from 640 to 800 and this project's preset); not measured here
Needs      pip install timm onedl-mmpretrain; timm downloads the ImageNet weights
Train      bash tools/dist_train.sh configs/fcos_tresnetm_asl.py 8    (the learning rate is for 8 GPUs x 2 images)
"""

_base_ = "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_ms-640-800-2x_coco.py"

custom_imports = dict(imports=["asl_mmdet", "mmpretrain.models"], allow_failed_imports=False)

model = dict(
    data_preprocessor=dict(mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0], bgr_to_rgb=True),
    backbone=dict(
        _delete_=True,
        type="mmpretrain.TIMMBackbone",
        model_name="tresnet_m",
        features_only=True,
        pretrained=True,
        out_indices=(1, 2, 3, 4),
    ),
    neck=dict(in_channels=[64, 128, 1024, 2048]),
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True, type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.25
        )
    ),
)
