"""Find the loss and parameters that fit a data set: each trial is a run of the benchmark."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from mmengine.config import Config

from asl_mmdet.benchmark import Plan, run_plan
from asl_mmdet.cli.common import check_data, fail, load_config, need, need_whole_parts, tell
from asl_mmdet.coco.format import read_json, write_json
from asl_mmdet.config.task import loss_node, task_of
from asl_mmdet.config.tree import annotation_path, find_datasets
from asl_mmdet.errors import UserError
from asl_mmdet.runs.key import KEY, differences, key_of, read_key, write_key
from asl_mmdet.tuning import OWN, TrialResult, block_of, search, split_annotations
from asl_mmdet.tuning.report import table_of, write_best, write_csv
from asl_mmdet.tuning.search import DATABASE


def main(args: argparse.Namespace) -> None:
    """Split the training set, try losses, and write what was found."""
    need("optuna")
    cfg = load_config(args, "model", "train_dataloader", "val_dataloader", "test_dataloader", "train_cfg")
    need_whole_parts(cfg)
    out = args.out or Path("work_dirs") / "tune" / Path(args.config).stem
    trainer = Trainer(out / "base.py", out / "trials", tuple(args.seeds))
    (key, node), task = loss_node(cfg), task_of(cfg)
    own = node.to_dict()
    check_data(cfg, "train")
    train_node(cfg)
    refuse_another(out, cfg, args)
    held_out = use_parts(cfg, out / "parts", args.val_share, args.seeds[0])
    if problems := write_base(cfg, trainer):
        fail("\n".join(problems))
    tell(f"a share of {args.val_share:g} of the training images is held out for the evaluation: {held_out}")
    tried = search(trainer, task, args.losses, out, args.trials, args.minutes, args.seeds[0], own)
    best = tried[0]
    if best.value != best.value:
        fail("\n".join(["no trial gave a result", *trainer.failures]))
    write_csv(tried, task.main_metric, out / "trials.csv")
    imports = list((cfg.get("custom_imports") or {}).get("imports") or [])
    imports = imports if "asl_mmdet" in imports else [*imports, "asl_mmdet"]
    block = block_of(best.params, task) if best.params else None
    write_best(out / "best.py", Path(args.config), key, block, imports, note_of(tried, task.main_metric))
    print(table_of(tried, task.main_metric))
    print(f"\nbest: {best.name}\n{out / 'best.py'}, {out / 'trials.csv'}")
    print(f"train with it: python tools/train.py {out / 'best.py'}")
    print("more trials: the same command with a larger --trials")


def train_node(cfg: Config) -> Any:
    """The one data set to train on.

    Raises:
        UserError: If the training set is not one file in COCO format.
    """
    datasets = [node for _, node in find_datasets(cfg.train_dataloader, "train_dataloader")]
    if len(datasets) != 1 or not str(datasets[0].get("ann_file", "")).endswith(".json"):
        raise UserError(
            f"train_dataloader has {len(datasets)} data sets, and one with an ann_file in COCO format (.json) is needed"
        )
    return datasets[0]


def refuse_another(out: Path, cfg: Config, args: argparse.Namespace) -> None:
    """Note what the trials in a folder depend on.

    Raises:
        UserError: If the folder has trials of something else.
    """
    wanted = key_of(cfg, seeds=args.seeds, val_share=args.val_share, losses=sorted(args.losses))
    there = read_key(out)
    if there is None and (out / DATABASE).exists():
        raise UserError(f"{out} has trials, and no {KEY} says what of: use another --out, or remove it")
    if there is not None and (lines := differences(there, wanted)):
        raise UserError(f"{out} has trials with something else: {'; '.join(lines)}. Use another --out, or remove it")
    write_key(out, wanted)


def use_parts(cfg: Config, folder: Path, share: float, seed: int) -> str:
    """Have the config train on one part of its training set and validate on the other; says what is on the latter.

    Raises:
        UserError: If the training set is no file in COCO format, or too small.
    """
    node = train_node(cfg)
    path = annotation_path(node)
    try:
        parts = split_annotations(read_json(path), share, seed)
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is no COCO-format annotation file: {type(error).__name__}: {error}") from error
    files = [folder / name for name in ("train.json", "val.json")]
    for file, part in zip(files, parts, strict=True):
        write_json(file, part)
    node.ann_file = str(files[0].resolve())
    for split in ("val", "test"):
        loader = cfg[f"{split}_dataloader"]
        for _, other in find_datasets(loader, split):
            other.ann_file = str(files[1].resolve())
            for name in ("data_root", "data_prefix"):
                if name in node:
                    other[name] = node[name]
    names = {category["id"]: category["name"] for category in parts[1].get("categories", [])}
    missing = [name for i, name in names.items() if all(a.get("category_id") != i for a in parts[1]["annotations"])]
    without = f", but none of {', '.join(missing)}" if missing else ""
    return f"{len(parts[1]['annotations'])} labels{without}"


def write_base(cfg: Config, trainer: "Trainer") -> list[str]:
    """Write the config that the trials start from, evaluated once, at its end; says what is wrong with it."""
    loop = cfg.train_cfg
    if isinstance(loop.get("max_epochs"), int):
        loop.val_interval = loop.max_epochs
    cfg.dump(trainer.base)
    plan = trainer.plan_of({OWN: None})
    return [problem for run in plan.runs() for problem in plan.problems_of(run)]


class Trainer:
    """Trains with a loss and gives its main metric on the part that was set aside; the mean over the seeds.

    Args:
        base: The config.
        out: Folder of the runs. What is finished there is not run again.
        seeds: Seeds.
    """

    def __init__(self, base: Path, out: Path, seeds: tuple[int, ...]) -> None:
        self.base, self.out, self.seeds = base, out, seeds
        self.failures: list[str] = []

    def plan_of(self, losses: dict[str, Any]) -> Plan:
        """A plan of the benchmark with these losses."""
        return Plan(
            name="tune",
            configs={"tune": str(self.base)},
            losses=losses,
            baseline=next(iter(losses)),
            data={"part": {}},
            seeds=self.seeds,
            options={},
            shapes={},
            minutes=0.0,
        )

    def __call__(self, name: str, block: dict[str, Any] | None) -> float:
        """Train and evaluate.

        Raises:
            RuntimeError: If a run failed.
        """
        plan = self.plan_of({name: block})
        if failures := run_plan(plan, self.out, 1, [sys.executable], []):
            self.failures += failures
            raise RuntimeError("\n".join(failures))
        values = []
        for run in plan.runs():
            result = json.loads((self.out / str(run) / "result.json").read_text(encoding="utf-8"))
            values.append(result["metrics"][result["main_metric"]])
            for checkpoint in (self.out / str(run) / "run").glob("*.pth"):
                checkpoint.unlink()
        return mean(values)


def note_of(tried: Sequence[TrialResult], metric: str) -> str:
    """The first line of the config with the best loss."""
    own = next((f", the config's own loss {one.value:.2f}" for one in tried if one.name == OWN), "")
    return f"Of {len(tried)} losses the best: {metric} {tried[0].value:.2f} on a part of the training set{own}."
