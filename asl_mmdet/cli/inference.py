"""The runner that predicts with a checkpoint, for the commands that do."""

from copy import deepcopy
from pathlib import Path

from mmdet.evaluation import DumpDetResults
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import DumpResults
from mmengine.model import BaseTTAModel
from mmengine.runner import Runner

from asl_mmdet.checks import preflight
from asl_mmdet.cli.common import build_runner, stop_on, tell
from asl_mmdet.config.task import DETECTION, MULTI_LABEL, build_dataset, task_of
from asl_mmdet.config.tree import type_name
from asl_mmdet.deploy.detector import add_thresholds


def runner_of(cfg: Config, checkpoint: str, tta: bool = False) -> Runner:
    """The runner that tests a checkpoint, with test-time augmentation or not; an error if it is of another model."""
    keep_config_of_training(cfg)
    cfg.load_from = checkpoint
    if cfg.model.get("backbone", {}).get("pretrained") is True:  # timm's weights, which the checkpoint then replaces
        cfg.model.backbone.pretrained = False
    if tta:
        add_test_time_augmentation(cfg)
    stop_on(preflight.check_work_dir(cfg.work_dir))
    runner = build_runner(cfg)
    model = getattr(runner.model, "module", runner.model)  # without DistributedDataParallel
    stop_on(preflight.check_checkpoint(checkpoint, model.module if isinstance(model, BaseTTAModel) else model))
    return runner


def keep_config_of_training(cfg: Config) -> None:
    """Have the runner write its config as ``<name>_test.py``: in the folder of the run it would replace the run's."""
    path = Path(cfg.filename or "config.py")
    object.__setattr__(cfg, "_filename", str(path.with_name(f"{path.stem}_test{path.suffix}")))


def dump_to(path: str | Path, cfg: Config) -> DumpResults:
    """The metric that writes the predictions of the config's task."""
    return (DumpResults if task_of(cfg) is MULTI_LABEL else DumpDetResults)(out_file_path=str(path))


def use_thresholds(cfg: Config, path: str) -> None:
    """Have the model cut its predictions by a thresholds file that is for the classes of the test set."""
    classes = build_dataset(cfg, cfg.test_dataloader.dataset).metainfo["classes"]
    add_thresholds(cfg, path, classes, "the test set")
    if task_of(cfg) is DETECTION:
        tell("--thresholds: AP needs the detections below the thresholds too, so it is lower than without them")


def add_test_time_augmentation(cfg: Config) -> None:
    """The config's own ``tta_model`` and ``tta_pipeline``, or the libraries' defaults: both ways round, merged."""
    if "tta_model" not in cfg and task_of(cfg) is MULTI_LABEL:
        cfg.tta_model = dict(type="AverageClsScoreTTA")
    elif "tta_model" not in cfg:
        nms = dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=100)
        cfg.tta_model = dict(type="DetTTAModel", tta_cfg=nms)
    if "tta_pipeline" not in cfg:
        dataset = cfg.test_dataloader.dataset
        while "dataset" in dataset:
            dataset = dataset.dataset
        keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")
        flips = [dict(type="RandomFlip", prob=1.0), dict(type="RandomFlip", prob=0.0)]
        cfg.tta_pipeline = deepcopy(dataset.pipeline)
        pack = cfg.tta_pipeline[-1]
        if type_name(pack.type) == "PackDetInputs":
            pack.meta_keys = keys
        cfg.tta_pipeline[-1] = dict(type="TestTimeAug", transforms=[flips, [pack]])
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
