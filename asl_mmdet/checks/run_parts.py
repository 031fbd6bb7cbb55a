"""Whether a config has all of a training, a validation and a test that it has some of."""

from mmengine.config import Config

from asl_mmdet.checks.finding import Rule
from asl_mmdet.checks.monitors import wrong_rules
from asl_mmdet.config.tree import incomplete_parts


def _incomplete(cfg: Config) -> list[str]:
    """Where it is the config of a run, not only of data."""
    is_run = {"train_cfg", "optim_wrapper", "val_cfg", "test_cfg"} & cfg.keys()
    return incomplete_parts(cfg) if is_run else []


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
        "C110",
        "error",
        "half of a training, of a validation or of a test",
        "MMEngine takes all of the three keys or none.",
        "Write what is missing, or take the others out.",
        _incomplete,
    ),
]
