"""The command lines, as a user runs them: what trains in a process of its own, what only speaks in this one."""

import json
import re
import shutil
import time
from pathlib import Path

import cv2
import mmdet
import pytest
import torch
from commands import ROOT, as_arguments, call, message_of, options_of
from mmengine import load
from processes import Started, python

from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.runs.logs import read_log

CONFIG = "configs/shapes/atss_r18_adaptive_shapes.py"  # what is resumed has a state of its own, too
MMDET_TOOLS = Path(mmdet.__file__).parent / ".mim" / "tools"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("data") / "shapes", num_train=12, num_val=8)


@pytest.fixture(scope="module")
def options(data):
    """A short run on a little of the shapes data."""
    short = {"train_cfg.max_epochs": 3, "train_dataloader.batch_size": 4, "default_hooks.logger.interval": 1}
    return as_arguments(options_of(data, **short))


@pytest.fixture(scope="module")
def run(options, tmp_path_factory):
    """The work directory of three undisturbed epochs."""
    work_dir = tmp_path_factory.mktemp("run")
    done = python("tools/train.py", CONFIG, "--work-dir", work_dir, *options)
    assert done.returncode == 0, done.stderr
    return work_dir


def metrics(work_dir):
    """The metrics of the last epoch in the newest log."""
    log = max(work_dir.glob("*/vis_data/scalars.json"))
    row = [json.loads(line) for line in log.read_text().splitlines() if "coco/bbox_mAP" in line][-1]
    return {name: value for name, value in row.items() if name.startswith("coco/") or name == "step"}


def logged(work_dir):
    """The last row of the training and the metrics of every epoch, without times and memory."""
    train, evaluations = read_log(work_dir)
    rows = [train[max(train)], *evaluations.values()]
    return [{k: v for k, v in row.items() if "time" not in k and "memory" not in k} for row in rows]


def test_missing_data_set_is_explained(tmp_path):
    message = message_of("train", "configs/atss_r50_asl.py", "--work-dir", tmp_path / "work")
    options = "train_dataloader.dataset.data_root=", "val_evaluator.ann_file="
    for expected in ("data/coco/", *options, "ln -s", "make demo"):
        assert expected in message
    assert not (tmp_path / "work").exists()


def test_training_logs_finite_falling_losses_and_coco_metrics(run):
    rows = [json.loads(line) for line in next(run.glob("*/vis_data/scalars.json")).read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < losses[0] < 100
    assert {"coco/bbox_mAP", "coco/bbox_mAP_50", "coco/bbox_mAP_75", "coco/bbox_mAP_s"} <= metrics(run).keys()


def test_failed_custom_import_shows_its_cause_first(tmp_path):
    (tmp_path / "config.py").write_text("custom_imports = dict(imports=['mine'], allow_failed_imports=False)\n")
    (tmp_path / "mine.py").write_text("import nothing_of_that_name\n")
    done = python("tools/train.py", tmp_path / "config.py", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    first, then, *_ = done.stderr[done.stderr.index("error: ") :].splitlines()  # after warnings of others, if any
    assert first.endswith("cannot be read: ModuleNotFoundError: No module named 'nothing_of_that_name'")
    assert "Failed to import mine" in then


def test_wrong_checkpoint_path_is_explained(run):
    message = message_of("test", CONFIG, run / "epoch_9.pth")
    assert "epoch_9.pth" in message
    assert "epoch_3.pth" in message  # what is there instead


def test_checkpoint_of_another_model_is_refused_instead_of_evaluated_as_zero(options, run, tmp_path):
    other = "configs/shapes/retinanet_r18_asl_shapes.py"
    message = message_of("test", other, run / "epoch_3.pth", "--work-dir", tmp_path, *options)
    assert "not a checkpoint of this config" in message
    assert "bbox_head.retina_cls.weight" in message


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, and MMEngine's mixed precision")
def test_amp_on_a_cpu_trains_in_bfloat16(options, tmp_path):
    # Two steps of two images, without evaluation: a CPU without instructions for bfloat16 is slow.
    few = ["train_dataloader.dataset.indices=4", "train_dataloader.batch_size=2", "train_dataloader.num_workers=0"]
    changes = [*options, *few, "train_cfg.max_epochs=1", "train_cfg.val_begin=2"]
    losses = []
    for folder, *flags in (("float32",), ("bfloat16", "--amp")):
        done = python("tools/train.py", CONFIG, *flags, "--work-dir", tmp_path / folder, *changes)
        assert done.returncode == 0, done.stderr
        assert ("mixed precision on a CPU: bfloat16" in done.stderr) == bool(flags)
        losses.append([row["loss"] for row in read_log(tmp_path / folder)[0].values()])
    exact, rounded = losses
    assert len(exact) == 2
    assert rounded == pytest.approx(exact, rel=0.1)
    assert rounded != exact


def test_unknown_labels_without_their_loss_are_explained():
    config = "configs/multilabel/tresnet_l_asl_openimages448.py"
    options = ["train_dataloader.dataset.unannotated=ignore", "optim_wrapper.type=OptimWrapper"]
    message = message_of("train", config, "--cfg-options", *options)
    assert "P102" in message and "model.head.loss=dict(type='PartialLabelLoss', loss=...)" in message


@pytest.fixture(scope="module")
def evaluated(run, options, tmp_path_factory):
    """The folder of an evaluation: the log, the predictions and the pictures."""
    folder = tmp_path_factory.mktemp("evaluated")
    flags = ["--work-dir", folder, "--out", folder / "predictions.pkl", "--show-dir", folder / "pictures"]
    done = python("tools/test.py", CONFIG, run / "epoch_3.pth", *flags, *options)
    assert done.returncode == 0, done.stderr
    assert "bbox_mAP" in done.stdout
    return folder


def test_checkpoint_evaluates_as_after_training(run, evaluated):
    assert (evaluated / "predictions.pkl").is_file()
    assert len(list((evaluated / "pictures").glob("*.jpg"))) == 8
    assert json.loads(next(evaluated.glob("*/*.json")).read_text())["coco/bbox_mAP"] == metrics(run)["coco/bbox_mAP"]


def test_checkpoint_evaluates_with_augmentation(run, options, tmp_path):
    out, pictures = tmp_path / "predictions.pkl", tmp_path / "pictures"
    flags = ["--tta", "--work-dir", tmp_path, "--out", out, "--show-dir", pictures]
    done = python("tools/test.py", CONFIG, run / "epoch_3.pth", *flags, *options)
    assert done.returncode == 0, done.stderr
    assert out.is_file()
    assert len(list(pictures.glob("*.jpg"))) == 8
    assert "coco/bbox_mAP" in json.loads(next(tmp_path.glob("*/*.json")).read_text())


def test_dump_only_writes_the_predictions_and_evaluates_nothing(run, evaluated, options, tmp_path):
    dumped = tmp_path / "only.pkl"
    flags = ["--work-dir", tmp_path, "--out", dumped, "--dump-only"]
    done = python("tools/test.py", CONFIG, run / "epoch_3.pth", *flags, *options)
    assert done.returncode == 0, done.stderr
    assert "bbox_mAP" not in done.stdout
    for one, other in zip(load(dumped), load(evaluated / "predictions.pkl"), strict=True):
        torch.testing.assert_close(one["pred_instances"], other["pred_instances"], rtol=0, atol=0)
    assert "--dump-only: name the file by --out FILE.pkl" in message_of("test", CONFIG, "x.pth", "--dump-only")


def test_training_stops_at_a_loss_that_is_not_finite(options, tmp_path):
    changes = [*options, "optim_wrapper.optimizer.lr=1e20"]
    done = python("tools/train.py", CONFIG, "--work-dir", tmp_path, *changes)
    assert done.returncode == 1
    assert re.search(r"FloatingPointError: the loss of iteration \d+ \(epoch \d\) is not finite", done.stderr)
    assert len(list(tmp_path.glob("nonfinite_iter_*.pth"))) == 1


def test_report_shows_the_run(run, evaluated, data, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.pth"))
    run = tmp_path
    shutil.copy(evaluated / "predictions.pkl", run)
    config = run / "config.py"
    config.write_text(f"_base_ = '{ROOT / CONFIG}'\ntest_dataloader = dict(dataset=dict(data_root='{data}/'))\n")
    done = call("report", config, run, "--images", "3")
    assert done.returncode == 0, done.stderr
    assert f"epoch 3: box AP {metrics(run)['coco/bbox_mAP']:.3f}" in done.stdout
    assert re.search(r"probabilities.png \(pt_pos 0\.\d+, .*gamma_neg \d", done.stdout)
    for name in ("curve.png", "probabilities.png"):
        assert (run / name).stat().st_size > 10_000
    assert cv2.imread(str(run / "pictures.jpg")).shape == (2 * (256 + 22), 4 * (256 + 4), 3)
    done = call("report", config, run, "--images", "1")
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(run / "pictures.jpg")).shape == (256 + 22, 4 * (256 + 4), 3)


@pytest.fixture(scope="module")
def classifier(data, tmp_path_factory):
    """A config of a classifier on the little data set, and the work directory of two epochs."""
    work_dir = tmp_path_factory.mktemp("classifier")
    loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
    (work_dir / "classifier.py").write_text(
        f"_base_ = '{ROOT}/configs/shapes/classifier_r18_asl_shapes.py'\n"
        + "".join(f"{name} = dict(dataset=dict(data_root='{data}/'))\n" for name in loaders)
    )
    options = ["--cfg-options", "train_cfg.max_epochs=2", "default_hooks.logger.interval=1"]
    done = python("tools/train.py", work_dir / "classifier.py", "--work-dir", work_dir / "run", *options)
    assert done.returncode == 0, done.stderr
    return work_dir, done.stdout


def tag_metrics(folder):
    rows = [json.loads(line) for line in max(folder.glob("*/vis_data/scalars.json")).read_text().splitlines()]
    return {name: value for name, value in rows[-1].items() if name.startswith("multi-label/")}


def test_classifier_prints_the_table_and_logs_its_columns(classifier):
    work_dir, printed = classifier
    assert re.search(r"\| +\| CP +\| CR +\| CF1 +\| OP +\| OR +\| OF1 +\|\n.*\n\| score >= 0.5 .*\n\| top 3 ", printed)
    assert len(tag_metrics(work_dir / "run")) == 14


def test_report_shows_a_multi_label_run(classifier):
    work_dir, _ = classifier
    done = call("report", work_dir / "classifier.py", work_dir / "run")
    assert done.returncode == 0, done.stderr
    assert f"epoch 2: mAP {tag_metrics(work_dir / 'run')['multi-label/mAP']:.3f}\n" in done.stdout
    assert (work_dir / "run" / "curve.png").stat().st_size > 10_000


@pytest.mark.parametrize("flags", [[], ["--tta"]])
def test_classifier_evaluates_as_after_training(classifier, tmp_path, flags):
    work_dir, _ = classifier
    out, pictures = tmp_path / "predictions.pkl", tmp_path / "pictures"
    flags = flags or ["--show-dir", pictures]
    command = ["tools/test.py", work_dir / "classifier.py", work_dir / "run" / "epoch_2.pth", "--out", out, *flags]
    done = python(*command, "--work-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(load(out)) == 8
    assert "--tta" in flags or len(list(pictures.iterdir())) == 8
    found = json.loads(next(tmp_path.glob("*/*.json")).read_text())
    found = {name: value for name, value in found.items() if name.startswith("multi-label/")}
    trained = tag_metrics(work_dir / "run")
    assert (found == trained) == ("--tta" not in flags)
    assert found.keys() == trained.keys()


def test_classifier_predicts_by_mmpretrains_inferencer(classifier, data, tmp_path):
    work_dir, _ = classifier
    (tmp_path / "predict.py").write_text(f"""
import mmengine
from mmpretrain import ImageClassificationInferencer

inferencer = ImageClassificationInferencer("{work_dir}/classifier.py", "{work_dir}/run/epoch_2.pth")
images = [f"{data}/val/{{name}}" for name in sorted(mmengine.scandir("{data}/val", ".jpg"))]
for image, sample in zip(images, inferencer(images, batch_size=4, return_datasamples=True)):
    print("\\nTAGS", image, [inferencer.classes[i] for i in sample.pred_label])  # a progress bar may end without one
""")
    done = python(tmp_path / "predict.py")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^TAGS .*/val/0000\d\d.jpg \[(?:'\w+ \w+'|(?:, ))*\]$", done.stdout, re.MULTILINE)) == 8


@pytest.mark.slow
@pytest.mark.every_stack
def test_killed_and_resumed_training_equals_undisturbed(run, options, tmp_path):
    command = ["tools/train.py", CONFIG, "--work-dir", str(tmp_path)]
    training = Started(*command, *options)
    training.wait_for(r"Epoch\(train\) +\[2\]\[2/3\]")
    training.process.kill()
    training.finish()
    assert not (tmp_path / "epoch_2.pth").exists()
    log = next(tmp_path.glob("*/vis_data/scalars.json"))  # as if the evaluation of epoch 1 had been killed
    log.write_text("\n".join(line for line in log.read_text().splitlines() if "bbox_mAP" not in line)[:-9])
    content = (tmp_path / "epoch_1.pth").read_bytes()
    (tmp_path / "epoch_2.pth").write_bytes(content[: len(content) // 2])  # as if it had been killed a little later
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_2.pth"))
    time.sleep(1)  # the new log folder is named by the second
    done = python(*command, "--resume", *options)
    assert done.returncode == 0, done.stderr
    assert "epoch_2.pth is truncated" in done.stderr and f"resuming from {tmp_path}/epoch_1.pth" in done.stderr
    assert "evaluating epoch 1 once more" in done.stdout
    assert logged(tmp_path) == logged(run)
    assert len(logged(run)) == 4
    assert {"gamma_neg", "gap", "pt_pos", "pt_neg", "prob_gap"} <= logged(run)[0].keys()
    ours, theirs = (torch.load(d / "epoch_3.pth", weights_only=False)["state_dict"] for d in (tmp_path, run))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    (gamma,) = (value for name, value in ours.items() if name.endswith("gamma_neg"))
    assert gamma not in (1.0, 2.0)  # where it starts


@pytest.mark.slow
@pytest.mark.every_stack
def test_stock_config_trains_with_asl_by_mmdetections_own_script(data, tmp_path):
    """What the README tells a user of MMDetection to do: the import line and the block in a config of theirs."""
    names = [c["name"] for c in json.loads((data / "annotations" / "val.json").read_text())["categories"]]
    (tmp_path / "mine.py").write_text(f"""
_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["asl_mmdet"], allow_failed_imports=False)
model = dict(
    backbone=dict(init_cfg=None),  # no download
    bbox_head=dict(num_classes=24, loss_cls=dict(_delete_=True, type="AsymmetricLoss", use_sigmoid=True)),
)
dataset = dict(
    data_root="{data}/",
    ann_file="annotations/val.json",
    data_prefix=dict(img="val/"),
    metainfo=dict(classes={names}),
    indices=8,
)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
val_evaluator = dict(ann_file="{data}/annotations/val.json")
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
""")
    small = ["train_dataloader.dataset.pipeline.2.scale=(128,128)", "val_dataloader.dataset.pipeline.1.scale=(128,128)"]
    done = python(
        MMDET_TOOLS / "train.py", "mine.py", "--work-dir", tmp_path / "work", "--cfg-options", *small, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    losses = [float(value) for value in re.findall(r" loss_cls: ([\d.]+)", done.stdout)]
    assert len(losses) == 4
    assert all(0 < value < 10 for value in losses)
    assert "Epoch(val) [1][8/8]" in done.stdout
