from hypothesis import settings

import asl_mmdet  # noqa: F401  (before mmdet.models, which needs mmcv.ops)

settings.register_profile("default", max_examples=300)
settings.register_profile("long", max_examples=20_000)
settings.load_profile("default")
