import asl_mmdet  # noqa: F401  (before mmdet.models, which needs mmcv.ops)
