"""Train and compare losses by a plan: every combination of config, loss, data and seed is a cell in its own process.

A plan is a short config file, see ``benchmarks/plans/``; a name that begins with _ is its own.
:mod:`asl_mmdet.benchmark_report` shows the results.
"""

import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine import load
from mmengine.config import Config

from asl_mmdet import stack
from asl_mmdet.logs import read_log
from asl_mmdet.losses.presets import PRESETS
from asl_mmdet.shapes import make_shapes
from asl_mmdet.task import DETECTION, loss_node, set_loss, task_of

ROOT = Path(__file__).parents[1]
_INSTALLED = Path(__file__).parent / ".mim" / "tools"
TOOLS = _INSTALLED if _INSTALLED.is_dir() else ROOT / "tools"
COCO_STATS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
PACKAGES = (
    *("torch", "torchvision", "numpy", "pycocotools", "faster-coco-eval"),
    *(name for names in stack.DISTRIBUTIONS.values() for name in names),
)


@dataclass(frozen=True)
class Cell:
    """One run of a plan."""

    config: str
    loss: str
    data: str
    seed: int

    def __str__(self) -> str:
        return f"{self.config}-{self.loss}-{self.data}-seed{self.seed}"


@dataclass(frozen=True)
class Plan:
    """What to compare; the fields are the variables of a plan file.

    Args:
        name: The name of the plan file.
        configs: Base configs by name.
        losses: ``loss_cls`` (or mmpretrain's ``loss``) by name: a config block, the name of one of the
            :data:`asl_mmdet.losses.presets.PRESETS`, or None for the config's own.
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
            ValueError: If a variable is missing, unknown or empty, or a preset or the baseline does not exist.
        """
        given = {k: v for k, v in Config.fromfile(path).to_dict().items() if not k.startswith("_")}
        optional: dict[str, Any] = dict(data={"default": {}}, options={}, shapes={}, minutes=0.0)
        required = {"configs", "losses", "baseline", "seeds"}
        if wrong := (required - given.keys()) | (given.keys() - required - optional.keys()):
            raise ValueError(
                f"{path}: {', '.join(sorted(wrong))} is missing or unknown; a plan has {', '.join(sorted(required))} "
                f"and, if wanted, {', '.join(sorted(optional))}"
            )
        given = optional | given
        if not all(given[name] for name in ("configs", "losses", "data", "seeds")):
            raise ValueError(f"{path}: configs, losses, data and seeds must not be empty")
        if given["baseline"] not in given["losses"]:
            raise ValueError(
                f"{path}: baseline={given['baseline']!r} is none of the losses {', '.join(given['losses'])}"
            )
        if unknown := {loss for loss in given["losses"].values() if isinstance(loss, str)} - PRESETS.keys():
            raise ValueError(f"{path}: there is no preset {', '.join(sorted(unknown))}, only {', '.join(PRESETS)}")
        given["losses"] = {k: PRESETS[v] if isinstance(v, str) else v for k, v in given["losses"].items()}
        return cls(name=Path(path).stem, **given)

    def cells(self) -> list[Cell]:
        """All runs; the losses of one seed follow each other."""
        combinations = itertools.product(self.configs, self.data, self.seeds, self.losses)
        return [Cell(config, loss, data, seed) for config, data, seed, loss in combinations]

    def config_of(self, cell: Cell) -> Config:
        """The whole config of a run."""
        cfg = Config.fromfile(self.configs[cell.config])
        cfg.merge_from_dict({**self.options, **self.data[cell.data]})
        for split in ("val", "test"):  # the evaluator of a detector reads the annotations of the data set
            dataset = cfg[f"{split}_dataloader"].dataset
            if "ann_file" in cfg[f"{split}_evaluator"]:
                cfg[f"{split}_evaluator"].ann_file = os.path.join(dataset.data_root, dataset.ann_file)
        loss = self.losses[cell.loss]
        if loss is not None:
            set_loss(cfg, loss)
        hooks = [dict(type="ProbabilityGapHook")]
        if loss_node(cfg)[1].type.endswith("AdaptiveAsymmetricLoss"):
            hooks.append(dict(type="AdaptiveAsymmetryHook"))
        kept = [hook for hook in cfg.get("custom_hooks") or [] if hook.type not in {hook["type"] for hook in hooks}]
        cfg.custom_hooks = [*kept, *hooks]
        cfg.merge_from_dict({"randomness.seed": cell.seed, "default_hooks.checkpoint.max_keep_ckpts": 2})
        return cfg


def run(plan: Plan, out: Path, jobs: int, train: list[str], launcher_arguments: list[str]) -> list[str]:
    """Run what is not finished, ``jobs`` cells at a time, and return what failed.

    Args:
        plan: The plan.
        out: Every cell has a folder in it, with the ``result.json`` of a finished one.
        jobs: Cells at a time.
        train: How to start a script: the Python interpreter, or torchrun or srun with their options.
        launcher_arguments: What the script gets for that.
    """
    for folder, options in plan.shapes.items():
        if not Path(folder).exists():
            make_shapes(folder, **options)
    todo = [cell for cell in plan.cells() if not (out / str(cell) / "result.json").exists()]
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = pool.map(lambda cell: _run_cell(plan, cell, out / str(cell), train, launcher_arguments), todo)
        return [message for message in outcomes if message]


def _run_cell(plan: Plan, cell: Cell, folder: Path, train: list[str], launcher_arguments: list[str]) -> str:
    """Train from where it stands, evaluate, and write ``result.json``; a message if something failed."""
    folder.mkdir(parents=True, exist_ok=True)
    config, work_dir, predictions = folder / "config.py", folder / "run", folder / "predictions.pkl"
    plan.config_of(cell).dump(config)
    start = time.time()
    print(f"{datetime.now():%H:%M:%S}  {cell} ...", flush=True)
    script = [*train, str(TOOLS / "train.py"), str(config), "--work-dir", str(work_dir), "--resume"]
    log = folder / "train.log"
    code, peak = _execute([*script, *launcher_arguments], log)
    if code == 0:
        checkpoint = Path((work_dir / "last_checkpoint").read_text().strip())
        script = [*train, str(TOOLS / "test.py"), str(config), str(work_dir / checkpoint.name)]
        arguments = ["--out", str(predictions), "--work-dir", str(folder / "test"), *launcher_arguments]
        log = folder / "test.log"
        code, _ = _execute([*script, *arguments], log)
    if code:
        print(f"{datetime.now():%H:%M:%S}  {cell} FAILED, see {log}", flush=True)
        return f"{cell}: exit code {code}; {log} ends with: {_last_line(log)}"
    try:
        result = asdict(cell) | collect(Config.fromfile(config), work_dir, predictions)
    except Exception as error:  # the other runs go on, and this one is collected again the next time
        print(f"{datetime.now():%H:%M:%S}  {cell} FAILED, its results cannot be read", flush=True)
        return f"{cell}: its results cannot be read: {type(error).__name__}: {error}"
    result |= dict(baseline=plan.baseline, peak_memory_mb=round(peak), **environment())
    partial = folder / "result.json.partial"
    partial.write_text(json.dumps(result))
    partial.replace(folder / "result.json")
    main = result["metrics"][result["main_metric"]]
    minutes = (time.time() - start) / 60
    print(f"{datetime.now():%H:%M:%S}  {cell}: {result['main_metric']} {main:.2f}, {minutes:.1f} min", flush=True)
    return ""


def _execute(command: list[str], log: Path) -> tuple[int, float]:
    """The exit code of a command, and the peak of its memory in MB."""
    with log.open("a") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "(nothing)"


def collect(cfg: Config, work_dir: Path, predictions: Path) -> dict[str, Any]:
    """The metrics, curves and speed of a finished run."""
    train, val = read_log(work_dir)
    task = task_of(cfg)
    logged = task.logged_metric
    metrics = detection_metrics if task is DETECTION else tagging_metrics
    result = metrics(cfg, load(predictions))
    result["main_metric"] = task.main_metric
    result["curve"] = {step: task.percent * row[logged] for step, row in val.items() if logged in row}
    names = ("loss", "gamma_neg", "clip", "pt_pos", "pt_neg", "prob_gap")
    result["training"] = {name: {step: row[name] for step, row in train.items() if name in row} for name in names}
    result["seconds_per_iteration"] = statistics.median(row["time"] for row in train.values())
    result["seconds_per_validation_batch"] = statistics.median(row["time"] for row in val.values() if logged in row)
    return result


def detection_metrics(cfg: Config, predictions: list[dict[str, Any]]) -> dict[str, Any]:
    """COCO's twelve numbers in percent, the AP of every class, precision against recall, detections above score_thr.

    ``detections`` counts what the model gives: at least ``score_thr``, after NMS, at most ``max_per_img`` an image.
    """
    coco, evaluation_class = _read_coco(cfg.val_evaluator.ann_file)
    categories = {category["name"]: category["id"] for category in coco.dataset["categories"]}
    classes = cfg.val_dataloader.dataset.get("metainfo", {}).get("classes") or categories
    names = [name for name in categories if name in classes]  # MMDetection's labels follow the file
    found = []
    for prediction in predictions:
        instances = prediction["pred_instances"]
        boxes = torch.as_tensor(instances["bboxes"]).double()
        boxes = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
        for box, score, label in zip(
            boxes.tolist(), instances["scores"].tolist(), instances["labels"].tolist(), strict=True
        ):
            image_id, category_id = prediction["img_id"], categories[names[label]]
            found.append(dict(image_id=image_id, category_id=category_id, bbox=box, score=score))
    stats, per_class, curve = [0.0] * len(COCO_STATS), dict.fromkeys(names, 0.0), [0.0] * 101
    if found:
        evaluation = evaluation_class(coco, coco.loadRes(found), "bbox")
        evaluation.params.catIds = [categories[name] for name in names]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        stats = [float(value) for value in evaluation.stats[:12]]
        precision = np.ma.masked_less(evaluation.eval["precision"][:, :, :, 0, -1], 0)  # IoU, recall, class
        per_class = dict(zip(names, precision.mean((0, 1)).filled(np.nan).tolist(), strict=True))
        curve = precision[0].mean(1).filled(np.nan).tolist()
    frequency = _frequency(cfg)
    # pycocotools gives -1 where there is no such object
    metrics = {name: 100 * value for name, value in zip(COCO_STATS, stats, strict=True) if value >= 0}
    per_class = {name: 100 * value for name, value in per_class.items()}
    return dict(
        metrics=metrics | thirds(per_class, frequency),
        per_class=per_class,
        frequency=frequency,
        precision_at_recall=curve,
        detections=len(found),
        score_thr=cfg.model.test_cfg.get("score_thr"),
    )


def _read_coco(path: str) -> tuple[Any, Any]:
    """The annotations and the evaluation of faster-coco-eval where that is installed, else of pycocotools."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster

        return COCO(path), COCOeval_faster
    except ImportError:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        return COCO(path), COCOeval


def tagging_metrics(cfg: Config, predictions: list[dict[str, Any]]) -> dict[str, Any]:
    """The columns of the multi-label table, and the AP of every class."""
    from mmpretrain.evaluation import AveragePrecision
    from mmpretrain.registry import METRICS

    metric = METRICS.build(cfg.test_evaluator)
    metric.process(None, predictions)
    metrics = metric.compute_metrics(metric.results)
    pred, target = (torch.stack([row[key].float() for row in metric.results]) for key in ("pred_score", "gt_score"))
    present = (target == 1).any(0)  # mmpretrain's function fails where a class has no known label
    values = torch.full((pred.shape[1],), torch.nan)
    values[present] = AveragePrecision.calculate(pred[:, present], target[:, present], average=None).float()
    frequency = _frequency(cfg)
    per_class = dict(zip(frequency, values.tolist(), strict=True))
    return dict(metrics=metrics | thirds(per_class, frequency), per_class=per_class, frequency=frequency)


def _frequency(cfg: Config) -> dict[str, int]:
    """How many training annotations every class has, in the order of the classes."""
    dataset = cfg.train_dataloader.dataset
    content = json.loads(Path(dataset.data_root, dataset.ann_file).read_text())
    numbers = Counter(annotation["category_id"] for annotation in content["annotations"])
    found = {c["name"]: numbers[c["id"]] for c in sorted(content["categories"], key=lambda c: c["id"])}
    return {name: found[name] for name in dataset.get("metainfo", {}).get("classes") or found}


def thirds(per_class: dict[str, float], frequency: dict[str, int]) -> dict[str, float]:
    """The mean of the rare, the common and the frequent third of the classes."""
    order = sorted((name for name in per_class if per_class[name] == per_class[name]), key=lambda name: frequency[name])
    parts = np.array_split([per_class[name] for name in order], 3)
    return {
        name: float(part.mean()) for name, part in zip(("rare", "common", "frequent"), parts, strict=True) if len(part)
    }


def environment() -> dict[str, Any]:
    """Device, versions and commit."""
    versions = {name: number for name in PACKAGES if (number := stack.installed_version(name))}
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{platform.machine()} CPU, {os.cpu_count()} cores"
    )
    return dict(
        device=device,
        python=sys.version.split()[0],
        versions=versions,
        commit=git.stdout.strip(),
        date=datetime.now().date().isoformat(),
    )
