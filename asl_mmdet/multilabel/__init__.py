"""Multi-label classification with mmpretrain's classifiers: data sets, the ML-Decoder head and the table of metrics.

Configs import it with ``custom_imports = dict(imports=['asl_mmdet.multilabel'])``; detectors do not need it.
"""

from importlib.util import find_spec

_missing = [name for name in ("mmpretrain", "pyarrow") if find_spec(name) is None]
if _missing:
    raise ImportError(
        f"asl_mmdet.multilabel trains mmpretrain's classifiers, and {' and '.join(_missing)} cannot be found here. "
        "Install both with `pip install onedl-mmpretrain pyarrow`, or everything with `pip install 'asl-mmdet[full]'`."
    )

from asl_mmdet.multilabel.datasets import CocoMultiLabel, NUSWide  # noqa: E402
from asl_mmdet.multilabel.metrics import MultiLabelTable, VOCMultiLabelTable  # noqa: E402
from asl_mmdet.multilabel.models import OFA595, MLDecoderClsHead, PartialLabelLoss  # noqa: E402
from asl_mmdet.multilabel.open_images import OpenImages  # noqa: E402

__all__ = [
    "CocoMultiLabel",
    "MLDecoderClsHead",
    "MultiLabelTable",
    "NUSWide",
    "OFA595",
    "OpenImages",
    "PartialLabelLoss",
    "VOCMultiLabelTable",
]
