"""Multi-label classification with mmpretrain's classifiers: data sets, the ML-Decoder head and the table of metrics.

Configs import it with ``custom_imports = dict(imports=['asl_mmdet.multilabel'])``; detectors do not need it.
"""

from importlib.util import find_spec

from asl_mmdet.compat import stack

if find_spec("mmpretrain") is None:
    raise ImportError(
        "asl_mmdet.multilabel trains mmpretrain's classifiers, and mmpretrain cannot be found here. "
        f"{stack.how_to_install(['mmpretrain'])}."
    )

from asl_mmdet.multilabel.datasets import CocoMultiLabel, NUSWide
from asl_mmdet.multilabel.metrics import MultiLabelTable, VOCMultiLabelTable
from asl_mmdet.multilabel.models import OFA595, MLDecoderClsHead, PartialLabelLoss
from asl_mmdet.multilabel.open_images import OpenImages

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
