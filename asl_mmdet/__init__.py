"""Asymmetric Loss (ASL, arXiv 2009.14119) for MMDetection 3.x.

Importing the package, which a config does with ``custom_imports = dict(imports=['asl_mmdet'])``, registers
the losses of :mod:`asl_mmdet.losses` with MMDetection, and the hooks of :mod:`asl_mmdet.hooks` and the wrapper of
:mod:`asl_mmdet.compat.optim` with MMEngine, whose runners then add the hooks that the losses need.
COCO's evaluation is right whatever the ids of an annotation file are (:mod:`asl_mmdet.coco.evaluation`).
Where mmcv was installed without its compiled ops, torchvision's are the fallback (:mod:`asl_mmdet.compat.mmcv_ops`).
All that is replaced in other packages is listed in :mod:`asl_mmdet.compat.patches`.

Where MMDetection or what it needs is missing, nothing is registered, and the pure functions of
:mod:`asl_mmdet.losses.functional` can be used: they only need torch. Beside a part of OpenMMLab's packages that is
said, since a config may be read there.
"""

import warnings
from importlib.util import find_spec

from asl_mmdet.compat import stack

__version__ = "0.2.0"

_missing = stack.missing()
if _missing and find_spec("torch") is None:
    raise ImportError(f"asl_mmdet is a plugin for MMDetection 3.x, and {stack.not_found(_missing)}")
if _missing and _missing != list(stack.REQUIRED):
    warnings.warn(
        "asl_mmdet registers nothing here, and has its pure functions only. It is a plugin for MMDetection 3.x, and "
        + stack.not_found(_missing),
        stacklevel=2,
    )
if _clashes := stack.clashes():
    warnings.warn(
        f"{'; '.join(_clashes)}: they write the same files, and which of them is imported is chance. Uninstall both, "
        "and install one of them again",
        stacklevel=2,
    )

if not _missing:
    from asl_mmdet.compat import mmcv_ops  # first of all: what is imported next needs mmcv.ops

    mmcv_ops.install_fallback()

    from asl_mmdet import hooks, losses, thresholds  # noqa: F401
    from asl_mmdet.compat import optim, packaged_weights, patches  # noqa: F401

    patches.apply()
