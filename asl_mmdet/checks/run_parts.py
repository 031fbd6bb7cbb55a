"""Whether a config has all of a training, a validation and a test, and the imports of this project's types."""

import sys
from collections.abc import Iterator

from mmengine.config import Config

from asl_mmdet.checks.finding import Rule
from asl_mmdet.checks.monitors import wrong_rules
from asl_mmdet.config.tree import find_typed_blocks, incomplete_parts, type_name

# What these packages register; importing asl_mmdet alone does not import them.
PACKAGES = {
    "asl_mmdet.known_classes": ("KnownClassesCoco", "KnownClassesCocoMetric", "KnownClassesLVIS"),
    "asl_mmdet.multilabel": (
        *("CocoMultiLabel", "MLDecoderClsHead", "MultiLabelTable", "NUSWide", "OFA595", "OpenImages"),
        *("PartialLabelLoss", "VOCMultiLabelTable"),
    ),
}

_SPLITS = ("train", "val", "test")


def _incomplete(cfg: Config) -> list[str]:
    """Where it is the config of a run, not only of data."""
    is_run = {"train_cfg", "optim_wrapper", "val_cfg", "test_cfg"} & cfg.keys()
    return incomplete_parts(cfg) if is_run else []


def _not_imported(cfg: Config) -> Iterator[str]:
    """Types by name of this project, whose package nothing has imported."""
    missing = {kind: package for package, types in PACKAGES.items() if package not in sys.modules for kind in types}
    for name in ("model", *(f"{split}_{part}" for part in ("dataloader", "evaluator") for split in _SPLITS)):
        for key, block in find_typed_blocks(cfg.get(name), name):
            kind = block["type"]
            if isinstance(kind, str) and not kind.startswith("asl_mmdet.") and type_name(kind) in missing:
                yield f"{key}.type={kind!r}; add {missing[type_name(kind)]!r} to the imports of custom_imports"


PART_RULES: list[Rule[Config]] = [
    Rule(
        "C111",
        "error",
        "rule of a watched metric that is none, or takes the lowest AP for the best",
        "Training fails, or keeps the worst checkpoint, stops early or lowers the learning rate for no reason.",
        "",
        wrong_rules,
    ),
    Rule(
        "C112",
        "error",
        "type of this project that is not imported",
        "MMEngine does not find it in its registry.",
        "",
        _not_imported,
    ),
    Rule(
        "C110",
        "error",
        "half of a training, of a validation or of a test",
        "MMEngine takes all of the three keys or none.",
        "Write what is missing, or take the others out.",
        _incomplete,
    ),
]
