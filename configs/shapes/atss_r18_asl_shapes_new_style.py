"""atss_r18_asl_shapes.py in MMEngine's new style of configs: classes instead of their names, imports instead of _base_.

Expect     as there: the model, the data and the schedule are the same
Data       python tools/make_shapes.py --out data/shapes
Train      python tools/train.py configs/shapes/atss_r18_asl_shapes_new_style.py
"""

from mmengine.config import read_base

with read_base():
    from .._base_.shapes_data import *  # noqa: F403

from asl_mmdet.losses import AsymmetricLoss  # isort: skip  (before mmdet.models, which needs mmcv.ops)
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.models import ATSS, ATSSHead, CrossEntropyLoss, GIoULoss
from mmdet.models.task_modules import AnchorGenerator, ATSSAssigner, DeltaXYWHBBoxCoder
from mmdet.visualization import DetLocalVisualizer
from mmengine.hooks import CheckpointHook, DistSamplerSeedHook, IterTimerHook, LoggerHook, ParamSchedulerHook
from mmengine.runner import LogProcessor
from mmengine.visualization import LocalVisBackend

custom_imports = dict(imports=["asl_mmdet"], allow_failed_imports=False)
default_scope = "mmdet"
default_hooks = dict(
    timer=dict(type=IterTimerHook),
    logger=dict(type=LoggerHook, interval=20),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(type=CheckpointHook, interval=1),
    sampler_seed=dict(type=DistSamplerSeedHook),
    visualization=dict(type=DetVisualizationHook),
)
env_cfg = dict(
    cudnn_benchmark=False, mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0), dist_cfg=dict(backend="nccl")
)
vis_backends = [dict(type=LocalVisBackend)]
visualizer = dict(type=DetLocalVisualizer, vis_backends=vis_backends, name="visualizer")
log_processor = dict(type=LogProcessor, window_size=50, by_epoch=True)
log_level = "INFO"
load_from = None
resume = False

model.update(  # noqa: F405
    dict(
        type=ATSS,
        bbox_head=dict(
            type=ATSSHead,
            num_classes=24,
            in_channels=64,
            stacked_convs=2,
            feat_channels=64,
            norm_cfg=dict(type="GN", num_groups=16, requires_grad=True),
            anchor_generator=dict(
                type=AnchorGenerator, ratios=[1.0], octave_base_scale=4, scales_per_octave=1, strides=[4, 8, 16, 32]
            ),
            bbox_coder=dict(type=DeltaXYWHBBoxCoder, target_means=[0.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
            loss_cls=dict(type=AsymmetricLoss, use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.25),
            loss_bbox=dict(type=GIoULoss, loss_weight=2.0),
            loss_centerness=dict(type=CrossEntropyLoss, use_sigmoid=True, loss_weight=1.0),
        ),
        train_cfg=dict(assigner=dict(type=ATSSAssigner, topk=9), allowed_border=-1, pos_weight=-1, debug=False),
        test_cfg=dict(
            nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type="nms", iou_threshold=0.6), max_per_img=100
        ),
    )
)
