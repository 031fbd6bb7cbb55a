"""The plans in benchmarks/plans, and those in experiments/plans, which a source distribution has not."""

import copy
import functools

import pytest
from commands import ROOT
from mmengine.config import Config

from asl_mmdet.benchmark import Plan

PLANS = sorted(path for folder in ("benchmarks", "experiments") for path in (ROOT / folder / "plans").glob("*.py"))


@pytest.fixture
def _read_once(monkeypatch):
    """A plan has up to 126 runs of three configs, and reading one takes most of the time."""
    read = functools.cache(Config.fromfile)
    monkeypatch.setattr(Config, "fromfile", lambda *args, **kwargs: copy.deepcopy(read(*args, **kwargs)))


@pytest.mark.usefixtures("_read_once")
@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_shipped_plan_builds_the_config_of_every_run(path):
    plan = Plan.read(path)
    runs = plan.runs()
    assert len(runs) == len(set(runs)) == len(plan.configs) * len(plan.losses) * len(plan.data) * len(plan.seeds)
    for run in (run for run in runs if run.seed == plan.seeds[-1]):
        cfg = plan.config_of(run)
        assert cfg.randomness.seed == run.seed
        node = cfg.model.bbox_head.loss_cls if "bbox_head" in cfg.model else cfg.model.head.loss
        wanted = plan.losses[run.loss]
        assert wanted is None or node.to_dict() == wanted  # nothing of the old block is left
        hooks = [hook.type for hook in cfg.custom_hooks]
        assert hooks.count("ProbabilityGapHook") == 1
