"""A plan: which losses to compare, on which configs, data and seeds. A run is one training of it.

A plan is a short config file, see ``benchmarks/plans/``; a name that begins with _ is its own.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from asl_mmdet.config.task import DETECTION, set_loss, task_of
from asl_mmdet.config.tree import add_hooks, annotation_path, find_blocks, find_datasets, require, type_name
from asl_mmdet.errors import UserError
from asl_mmdet.losses.presets import PRESETS


@dataclass(frozen=True)
class Run:
    """One training of a plan."""

    config: str
    loss: str
    data: str
    seed: int

    def __str__(self) -> str:
        return f"{self.config}-{self.loss}-{self.data}-seed{self.seed}"


def _block(loss: Any) -> Any:
    """The config block of a loss of a plan file."""
    options = dict(preset=loss) if isinstance(loss, str) else dict(loss or {})
    if "preset" not in options:
        return loss
    name = options.pop("preset")
    if name not in PRESETS:
        raise UserError(f"there is no preset {name}, only {', '.join(PRESETS)}")
    return PRESETS[name] | options


@dataclass(frozen=True)
class Plan:
    """What to compare; the fields are the variables of a plan file.

    Args:
        name: The name of the plan file.
        configs: Base configs by name.
        losses: ``loss_cls`` (or mmpretrain's ``loss``) by name: a config block, the name of one of the
            :data:`asl_mmdet.losses.presets.PRESETS`, ``dict(preset=name, ...)`` for one with other values, or None for
            the config's own.
        baseline: The loss that the others are compared with.
        data: Options of the config, as for ``--cfg-options``, by the name of a data variant.
        seeds: Seeds; runs with equal seeds are compared in pairs.
        options: More options, for all runs.
        shapes: Arguments of ``make_shapes`` by the folder to make where it is missing.
        minutes: About how long a run takes, to tell in advance.
    """

    name: str
    configs: dict[str, str]
    losses: dict[str, Any]
    baseline: str
    data: dict[str, dict[str, Any]]
    seeds: tuple[int, ...]
    options: dict[str, Any]
    shapes: dict[str, dict[str, Any]]
    minutes: float

    @classmethod
    def read(cls, path: str | Path) -> "Plan":
        """Read a plan file.

        Raises:
            UserError: If a variable is missing, unknown or empty, or a preset or the baseline does not exist.
        """
        given = {k: v for k, v in Config.fromfile(path, lazy_import=False).to_dict().items() if not k.startswith("_")}
        optional: dict[str, Any] = dict(data={"default": {}}, options={}, shapes={}, minutes=0.0)
        required = {"configs", "losses", "baseline", "seeds"}
        if wrong := (required - given.keys()) | (given.keys() - required - optional.keys()):
            raise UserError(
                f"{path}: {', '.join(sorted(wrong))} is missing or unknown; a plan has {', '.join(sorted(required))} "
                f"and, if wanted, {', '.join(sorted(optional))}"
            )
        given = optional | given
        if not all(given[name] for name in ("configs", "losses", "data", "seeds")):
            raise UserError(f"{path}: configs, losses, data and seeds must not be empty")
        if given["baseline"] not in given["losses"]:
            raise UserError(
                f"{path}: baseline={given['baseline']!r} is none of the losses {', '.join(given['losses'])}"
            )
        try:
            given["losses"] = {name: _block(loss) for name, loss in given["losses"].items()}
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        return cls(name=Path(path).stem, **given)

    def runs(self) -> list[Run]:
        """All runs; the losses of one seed follow each other."""
        combinations = itertools.product(self.configs, self.data, self.seeds, self.losses)
        return [Run(config, loss, data, seed) for config, data, seed, loss in combinations]

    def problems_of(self, run: Run) -> list[str]:
        """Why the results of a run could not be read after it; empty where they can."""
        try:
            cfg = self.config_of(run)
        except UserError as error:
            return [f"{run}: {error}"]
        wanted = "CocoMetric" if task_of(cfg) is DETECTION else "MultiLabelTable"
        evaluators = {split: find_blocks(cfg, f"{split}_evaluator") for split in ("val", "test")}
        found = {split: [type_name(block.get("type")) for _, block in blocks] for split, blocks in evaluators.items()}
        return [
            f"{run}: {split}_evaluator is {' and '.join(kinds) or 'missing'}, and the report reads one {wanted}"
            for split, kinds in found.items()
            if len(kinds) != 1 or not kinds[0].endswith(wanted)
        ]

    def config_of(self, run: Run) -> Config:
        """The whole config of a run."""
        cfg = Config.fromfile(self.configs[run.config])
        cfg.merge_from_dict({**self.options, **self.data[run.data]})
        require(cfg, "model", "train_dataloader", "val_dataloader", "test_dataloader")
        for split in ("val", "test"):  # the evaluator of a detector reads the annotations of the data set
            datasets = [dataset for _, dataset in find_datasets(cfg[f"{split}_dataloader"], split)]
            for _, evaluator in find_blocks(cfg, f"{split}_evaluator"):
                if "ann_file" in evaluator and len(datasets) == 1:
                    evaluator.ann_file = annotation_path(datasets[0])
        loss = self.losses[run.loss]
        if loss is not None:
            set_loss(cfg, loss)
        add_hooks(cfg, "ProbabilityGapHook", "PeakMemoryHook")
        cfg.merge_from_dict({"randomness.seed": run.seed, "default_hooks.checkpoint.max_keep_ckpts": 2})
        return cfg
