"""The plans in benchmarks/plans and experiments/plans."""

from pathlib import Path

import pytest

from asl_mmdet.benchmark import Plan

PLANS = sorted(Path(__file__).parents[2].glob("*/plans/*.py"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_shipped_plan_builds_the_config_of_every_cell(path):
    plan = Plan.read(path)
    cells = plan.cells()
    assert len(cells) == len(set(cells)) == len(plan.configs) * len(plan.losses) * len(plan.data) * len(plan.seeds)
    for cell in (cell for cell in cells if cell.seed == plan.seeds[-1]):
        cfg = plan.config_of(cell)
        assert cfg.randomness.seed == cell.seed
        node = cfg.model.bbox_head.loss_cls if "bbox_head" in cfg.model else cfg.model.head.loss
        wanted = plan.losses[cell.loss]
        assert wanted is None or node.to_dict() == wanted  # nothing of the old block is left
        hooks = [hook.type for hook in cfg.custom_hooks]
        assert hooks.count("ProbabilityGapHook") == 1
