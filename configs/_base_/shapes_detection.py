"""What the shapes detectors share: MMDetection's defaults, and shapes_data.py."""

_base_ = ["mmdet::_base_/default_runtime.py", "shapes_data.py"]

custom_imports = dict(imports=["asl_mmdet"], allow_failed_imports=False)
default_hooks = dict(logger=dict(interval=20))
