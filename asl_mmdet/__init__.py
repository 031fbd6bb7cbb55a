"""Asymmetric Loss (ASL, arXiv 2009.14119) for MMDetection 3.x.

Importing the package, which a config does with ``custom_imports = dict(imports=['asl_mmdet'])``, registers
``AsymmetricLoss`` and ``AdaptiveAsymmetricLoss`` with MMDetection, and the hooks of :mod:`asl_mmdet.hooks` and
the wrapper of :mod:`asl_mmdet.optim` with MMEngine. Where mmcv was installed without its compiled ops, torchvision
stands in for them (:mod:`asl_mmdet.mmcv_ops`).
"""

import warnings
from importlib.util import find_spec

from asl_mmdet import stack

__version__ = "0.1.0"

_missing = [name for name in ("mmengine", "mmcv", "mmdet") if find_spec(name) is None]
if _missing:
    raise ImportError(
        f"asl_mmdet is a plugin for MMDetection 3.x, and {', '.join(_missing)} cannot be found here. "
        f"{stack.how_to_install(_missing)}."
    )
if _clashes := stack.clashes():
    warnings.warn(
        f"{'; '.join(_clashes)}: they write the same files, and which of them is imported is chance. Uninstall both, "
        "and install one of them again",
        stacklevel=2,
    )

from asl_mmdet import mmcv_ops  # noqa: E402  (first of all: what is imported next needs mmcv.ops)

mmcv_ops.install_stand_in()

from asl_mmdet import hooks, losses, optim, packaged_weights  # noqa: E402, F401
