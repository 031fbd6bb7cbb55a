"""What the commands find out before anything is built or trained."""

import json
import logging
import os
import shutil
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from commands import NO_WORKERS, ROOT, as_arguments, call, config_of, message_of, options_of, save_random
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel

from asl_mmdet.checks import check_config, preflight, start_weights
from asl_mmdet.checks.loaders import check_loader, check_loaders
from asl_mmdet.checks.run_parts import PACKAGES
from asl_mmdet.cli import common
from asl_mmdet.cli.inference import keep_config_of_training
from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.compat import checkpoints

CONFIG = "configs/shapes/atss_r18_asl_shapes.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    register_all_modules()
    return make_shapes(tmp_path_factory.mktemp("start") / "shapes", num_train=3, num_val=4)


@pytest.fixture(scope="module")
def checkpoint(data, tmp_path_factory):
    return save_random(config_of(data), tmp_path_factory.mktemp("weights") / "a.pth")


# Loaders --------------------------------------------------------------------------------------------------------------

EMPTY = {
    "drop_last": {"train_dataloader.drop_last": True},
    "a batch sampler that drops": {
        "train_dataloader.batch_sampler": dict(type="AspectRatioBatchSampler", drop_last=True),
    },
    "repeated, and too few": {
        "train_dataloader.drop_last": True,
        "train_dataloader.batch_size": 7,
        "train_dataloader.dataset": dict(_delete_=True, type="RepeatDataset", times=2),
    },
}


def planted(data, changes):
    cfg = config_of(data, **NO_WORKERS)
    inner = cfg.train_dataloader.dataset
    for key, value in changes.items():
        if key == "train_dataloader.dataset":
            value = dict(type=value["type"], times=value["times"], dataset=inner)
        node = cfg
        *parents, last = key.split(".")
        for part in parents:
            node = node[part]
        node[last] = value
    return cfg


@pytest.mark.parametrize("changes", EMPTY.values(), ids=EMPTY)
def test_loader_without_a_batch_is_found_and_training_refused(changes, data, tmp_path):
    cfg = planted(data, changes)
    (finding,) = check_loaders(cfg, ["train", "val"])
    assert (finding.code, finding.is_error) == ("P103", True)
    assert "train_dataloader has " in finding.examples[0] and "batch_size=" in finding.examples[0]
    cfg.dump(tmp_path / "config.py")
    checked = call("check_dataset", tmp_path / "config.py", "--fast", "--splits", "train")
    assert checked.returncode == 1 and "P103" in checked.stdout
    trained = call("train", tmp_path / "config.py", "--work-dir", tmp_path / "work", "--skip-checks")
    assert trained.returncode == 1 and "P103" in trained.stderr and "Traceback" not in trained.stderr
    assert not list((tmp_path / "work").glob("*.pth"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train_dataloader.drop_last": True, "train_dataloader.batch_size": 3},
        {"train_dataloader.drop_last": True, "train_dataloader.sampler": dict(type="InfiniteSampler")},
        {
            "train_dataloader.drop_last": True,
            "train_dataloader.batch_size": 4,
            "train_dataloader.dataset": dict(type="RepeatDataset", times=2),
        },
    ],
)
def test_loader_with_a_batch_has_no_finding(changes, data):
    assert check_loaders(planted(data, changes), ["train"]) == []


def test_loader_that_cannot_be_built_says_why(data):
    cfg = config_of(data)
    cfg.train_dataloader.dataset.pipeline[0].type = "LoadImageFromNowhere"
    (finding,) = check_loaders(cfg, ["train"])
    assert finding.code == "P104" and "LoadImageFromNowhere" in finding.examples[0]


def test_loader_of_no_known_length_is_looked_into():
    loader = SimpleNamespace(batch_sampler=iter([[0]]), sampler=[], batch_size=4)
    loader_type = type("Loader", (), dict(__len__=lambda self: 0))
    empty = loader_type()
    vars(empty).update(vars(loader))
    assert check_loader("train_dataloader", empty) == []


# Configs --------------------------------------------------------------------------------------------------------------

OLD = """
model = dict(type="RetinaNet", bbox_head=dict(type="RetinaHead", num_classes=3))
data = dict(samples_per_gpu=2, train=dict(type="CocoDataset", ann_file="a.json", img_prefix="train/"))
optimizer = dict(type="SGD", lr=0.02)
lr_config = dict(policy="step", step=[8, 11])
runner = dict(type="EpochBasedRunner", max_epochs=12)
"""
TOOLS = {  # the arguments behind the config, and what the config must have
    "check_dataset": ((), "train_dataloader and no val_dataloader"),
    "train": (("--work-dir", "{folder}/work"), "train_dataloader and no train_cfg and no optim_wrapper"),
    "test": (("{folder}/a.pth",), "test_dataloader and no test_evaluator and no test_cfg"),
    "audit_labels": (("{folder}/a.pth",), "train_dataloader"),
    "tune_thresholds": (("{folder}/a.pth",), "val_dataloader and no val_evaluator and no test_cfg"),
    "tune_loss": (
        ("--out", "{folder}/t"),
        "train_dataloader and no val_dataloader and no test_dataloader and no train_cfg",
    ),
    "predict": (("{folder}/a.pth", "{folder}", "{folder}/out.json"), "test_dataloader"),
    "export_onnx": (("{folder}/a.pth", "{folder}/out.onnx"), None),
    "report": (("{folder}",), "test_dataloader"),
}


def arguments(tool, folder):
    (folder / "a.pth").write_bytes(b"")
    return [folder / "config.py", *(argument.format(folder=folder) for argument in TOOLS[tool][0])]


@pytest.mark.parametrize("tool", TOOLS)
def test_config_that_is_old_no_python_or_lacks_a_part_is_a_message(tool, tmp_path):
    texts = [
        (OLD, "config.py is a config of MMDetection 2.x (it has data, lr_config)"),
        ("model = dict(\n", "config.py cannot be read: SyntaxError"),
        ("_base_ = './not_there.py'\n", "not_there.py"),
        ("model = dict(type='RetinaNet')\n", f"config.py has no {TOOLS[tool][1]}"),
    ]
    for text, message in texts[: 3 if tool == "export_onnx" else 4]:
        (tmp_path / "config.py").write_text(text, encoding="utf-8")
        assert message in message_of(tool, *arguments(tool, tmp_path))


def test_old_config_of_a_plan_or_with_amp_is_named_too(tmp_path):
    (tmp_path / "config.py").write_text(OLD, encoding="utf-8")
    plan = f"configs = dict(a='{tmp_path}/config.py')\nlosses = dict(own=None)\nbaseline = 'own'\nseeds = (0,)\n"
    (tmp_path / "plan.py").write_text(plan, encoding="utf-8")
    for arguments in (("benchmark", tmp_path / "plan.py", "--dry-run"), ("train", tmp_path / "config.py", "--amp")):
        assert "is a config of MMDetection 2.x" in message_of(*arguments)


@pytest.mark.parametrize(
    "left_out, words",
    [
        (("val_evaluator",), "val_dataloader and val_cfg without val_evaluator"),
        (("val_cfg",), "val_dataloader and val_evaluator without val_cfg"),
        (("test_dataloader",), "test_cfg and test_evaluator without test_dataloader"),
        (("test_cfg", "test_evaluator"), "test_dataloader without test_cfg and test_evaluator"),
        (("optim_wrapper",), "train_dataloader and train_cfg without optim_wrapper"),
    ],
)
def test_half_of_a_part_of_a_run_is_named(left_out, words, data, tmp_path):
    cfg = config_of(data)
    for key in left_out:
        cfg.pop(key)
    (finding,) = check_config(cfg)
    assert (finding.code, finding.severity, finding.examples) == ("C110", "error", (words,))
    with pytest.raises(SystemExit, match=words):  # as every command that tests
        common.build_runner(cfg)
    if "optim_wrapper" not in left_out:  # which training asks for by itself
        cfg.dump(tmp_path / "config.py")
        assert words in message_of("train", *arguments("train", tmp_path))


def test_a_run_without_validation_and_test_is_whole(data):
    cfg = config_of(data)
    for split in ("val", "test"):
        for key in ("dataloader", "evaluator", "cfg"):
            cfg.pop(f"{split}_{key}")
    assert check_config(cfg) == []


def test_old_key_beside_new_ones_is_a_warning(data):
    cfg = config_of(data)
    cfg.lr_config = dict(policy="step")
    (finding,) = check_config(cfg)
    assert (finding.code, finding.severity, finding.examples) == ("C108", "warning", ("lr_config",))


# Processes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "launcher, variable", [("pytorch", "RANK"), ("slurm", "SLURM_PROCID"), ("mpi", "OMPI_COMM_WORLD_RANK")]
)
@pytest.mark.parametrize("rank", ["0", "1"])
def test_only_the_first_process_prints_before_there_is_a_group(launcher, variable, rank, monkeypatch, tmp_path):
    for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, rank)
    done = call("train", CONFIG, "--work-dir", tmp_path, "--launcher", launcher, "--resume", "nowhere.pth")
    monkeypatch.delenv("RANK", raising=False)
    assert done.returncode == 1
    assert ("there is no checkpoint nowhere.pth" in done.stderr) == (rank == "0")


def test_step_of_a_job_without_a_launcher_speaks(monkeypatch, tmp_path):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("SLURM_PROCID", "3")  # srun --multi-prog: each is a training of its own
    assert "there is no checkpoint" in message_of("train", CONFIG, "--work-dir", tmp_path, "--resume", "nowhere.pth")


@pytest.mark.parametrize(
    "config, expected",
    [
        ({}, dict(broadcast_buffers=False, find_unused_parameters=False)),
        (dict(find_unused_parameters=True), dict(broadcast_buffers=False, find_unused_parameters=True)),
        (
            dict(model_wrapper_cfg=dict(type="MMDistributedDataParallel", static_graph=True)),
            dict(static_graph=True),
        ),
        (dict(model_wrapper_cfg=dict(find_unused_parameters=True)), dict(find_unused_parameters=True)),
        (dict(model_wrapper_cfg=dict(type=MMDistributedDataParallel)), dict(type=MMDistributedDataParallel)),
    ],
)
def test_wrapper_of_processes_on_cpus_has_what_the_config_says_and_no_gpu(config, expected):
    found = common._wrapper_on_cpus(Config(config))
    assert found == {"type": "MMDistributedDataParallel", "device_ids": None, **expected}


def test_wrapper_that_takes_no_device_gets_none():
    given = dict(type="MMFullyShardedDataParallel", use_orig_params=True)
    assert common._wrapper_on_cpus(Config(dict(model_wrapper_cfg=given))) == given


# tools/test.py --------------------------------------------------------------------------------------------------------


def test_config_of_the_training_is_kept_and_the_checkpoint_read_once(data, checkpoint, tmp_path, monkeypatch):
    mine = tmp_path / "mine.py"
    mine.write_text(f"_base_ = '{ROOT / CONFIG}'\n", encoding="utf-8")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/mine.py").write_text("the training's", encoding="utf-8")
    reads, read = [], checkpoints._load
    monkeypatch.setattr(checkpoints, "_load", lambda *args: reads.append(args) or read(*args))
    arguments = ["--work-dir", tmp_path / "work", *as_arguments(options_of(data, **NO_WORKERS))]
    done = call("test", mine, checkpoint, *arguments)
    assert done.returncode == 0, done.stderr
    assert len(reads) == 1 and checkpoints._kept == {}
    assert (tmp_path / "work/mine.py").read_text(encoding="utf-8") == "the training's"
    assert "data_root" in (tmp_path / "work/mine_test.py").read_text(encoding="utf-8")


def test_config_without_a_file_gets_a_name():
    cfg = Config(dict())
    keep_config_of_training(cfg)
    assert os.path.basename(cfg.filename) == "config_test.py"


@pytest.mark.parametrize("kind", ["detector", "classifier"])
def test_pictures_of_images_with_one_name_lie_in_folders(kind, data, checkpoint, tmp_path):
    root = shutil.copytree(data, tmp_path / "shapes")
    path = root / "annotations/val.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for k, image in enumerate(content["images"]):
        name = f"cam{k % 2}/{'deep/' * (k == 3)}0001.jpg" if k != 2 else "cam0/0002.jpg"
        (root / "val" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "val" / image["file_name"]).rename(root / "val" / name)
        image["file_name"] = name
    path.write_text(json.dumps(content), encoding="utf-8")
    config = CONFIG
    if kind == "classifier":
        config = "configs/shapes/classifier_r18_bce_shapes.py"
        checkpoint = save_random(Config.fromfile(config), tmp_path / "b.pth")
    options = as_arguments(options_of(root, kind == "detector", **NO_WORKERS))
    shown = tmp_path / "shown"
    done = call("test", config, checkpoint, "--work-dir", tmp_path / "w", "--show-dir", shown, *options)
    assert done.returncode == 0, done.stderr
    found = sorted(file.relative_to(shown).as_posix().split(".jpg")[0] for file in shown.rglob("*") if file.is_file())
    assert found == ["cam0/0001", "cam0/0002", "cam1/0001", "cam1/deep/0001"]


def test_packages_of_this_project_register_what_the_check_says():
    for package, names in PACKAGES.items():
        assert sorted(import_module(package).__all__) == sorted(names)


def test_type_of_a_package_that_nothing_imports_is_named(data, monkeypatch):
    cfg = config_of(data)
    cfg.train_dataloader.dataset = dict(type="RepeatDataset", times=2, dataset=cfg.train_dataloader.dataset)
    cfg.train_dataloader.dataset.dataset.type = "KnownClassesCoco"
    monkeypatch.setitem(sys.modules, "asl_mmdet.known_classes", None)
    assert not [one for one in check_config(cfg) if one.code == "C112"]
    monkeypatch.delitem(sys.modules, "asl_mmdet.known_classes")
    (finding,) = check_config(cfg)
    assert finding.code == "C112"
    assert "train_dataloader.dataset.dataset.type='KnownClassesCoco'" in finding.examples[0]
    assert "'asl_mmdet.known_classes'" in finding.examples[0]
    cfg.train_dataloader.dataset.dataset.type = "asl_mmdet.known_classes.KnownClassesCoco"  # MMEngine imports it
    assert not check_config(cfg)


def test_checkpoint_that_is_no_path_or_a_file_with_the_path_is_told_apart(tmp_path):
    pointer = tmp_path / "last_checkpoint"
    assert "the checkpoint is an empty text" in message_of("test", CONFIG, "")
    assert f"Is it {CONFIG}?" in message_of("test", CONFIG.replace("shapes.py", "shape.py"), pointer)
    pointer.write_text("work/epoch_1.pth")
    assert f'write "$(cat {pointer})"' in message_of("test", CONFIG, pointer)


def test_variable_of_the_folder_that_is_not_set_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("COCO_FOLDER", raising=False)
    config = str(ROOT / "configs/small/atss_mnv2_asl.py")
    checkpoint = tmp_path / "random.pth"
    meta = dict(dataset_meta=dict(classes=("a", "b", "c")))
    torch.save(dict(state_dict={"a": torch.zeros(1)}, meta=meta), checkpoint)
    findings = tmp_path / "reviewed.json"
    findings.write_text("[]")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(b"")
    told = "COCO_FOLDER names the folder of this config, and is not set"
    assert told in message_of("audit_labels", config, "--findings", findings, "--apply", "0")
    assert told in message_of("predict", config, checkpoint, tmp_path / "images", "--out", tmp_path / "found.json")


@pytest.mark.parametrize("there, told", [("val.json", "The folder is there"), ("other.json", "import_dataset.py")])
def test_file_that_the_folder_lacks_is_told_from_a_folder_of_another_form(there, told, tmp_path, monkeypatch):
    monkeypatch.setenv("COCO_FOLDER", str(tmp_path))
    (tmp_path / there).write_text("{}")
    loaders = {
        f"{split}_dataloader": dict(dataset=dict(data_root=str(tmp_path), ann_file=f"{split}.json"))
        for split in ("train", "val")
    }
    finding = preflight.check_data(Config(loaders), ("train", "val"))[0]
    assert finding.code == "P101" and told in finding.fix


def test_weights_that_are_not_installed_are_named_before_the_training(monkeypatch):
    def missing(name):
        raise FileNotFoundError(f"{name} is not installed here")

    monkeypatch.setattr(start_weights, "find_file", missing)
    cfg = Config.fromfile(ROOT / "configs/small/atss_mnv2_asl.py")
    (finding,) = start_weights.check_packaged_weights(cfg)
    assert finding.code == "P210" and finding.examples == ("model.backbone: mobilenet_v2 is not installed here",)
    cfg.model.backbone.init_cfg = None
    assert start_weights.check_packaged_weights(cfg) == []


def test_thresholds_are_not_tuned_by_options_of_the_test(data):
    option = "test_dataloader.dataset.ann_file=a.json"
    message = message_of("tune_thresholds", CONFIG, __file__, "--cfg-options", option)
    assert "test_dataloader.dataset.ann_file is not read here" in message and "val_dataloader" in message


def test_log_leaves_out_a_line_for_each_frozen_weight(data, tmp_path):
    runner = common.build_runner(config_of(data, work_dir=str(tmp_path), launcher="none"))
    frozen, other = ("a.weight is skipped since its requires_grad=False", "a.weight is skipped since it is there twice")
    assert not runner.logger.filter(logging.makeLogRecord(dict(msg=frozen)))
    assert runner.logger.filter(logging.makeLogRecord(dict(msg=other)))
