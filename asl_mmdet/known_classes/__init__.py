"""Images that were labelled for some of the classes only: their data sets, and their evaluation.

Configs import it with ``custom_imports = dict(imports=['asl_mmdet.known_classes'])``. The loss leaves the other classes
of an image's background out by :class:`asl_mmdet.hooks.KnownClassesHook`.
"""

from asl_mmdet.known_classes.datasets import KnownClassesCoco, KnownClassesLVIS
from asl_mmdet.known_classes.metrics import KnownClassesCocoMetric

__all__ = ["KnownClassesCoco", "KnownClassesCocoMetric", "KnownClassesLVIS"]
