"""A result of something else is not taken for the one that is asked for, or gone on with."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from annotated import edit
from commands import NO_WORKERS, as_arguments, call, config_of, message_of, options_of
from mmdet.models import ATSS

from asl_mmdet.audit.labels import Labels
from asl_mmdet.audit.predict import PredictionFile, id_of, source_of
from asl_mmdet.benchmark import Plan, differing, run_plan
from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.errors import UserError
from asl_mmdet.runs import key as run_key
from asl_mmdet.runs import locks
from asl_mmdet.runs.jobs import processes_of
from asl_mmdet.runs.key import differences, digest_of, flattened, key_of, read_key, write_key
from asl_mmdet.runs.locks import locked
from asl_mmdet.runs.processes import Processes

CONFIG = "configs/shapes/atss_r18_asl_shapes.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("key") / "shapes", num_train=4, num_val=2)


@pytest.fixture
def data(made, tmp_path):
    return shutil.copytree(made, tmp_path / "shapes")


def test_values_are_text_by_their_keys_and_classes_are_their_names():
    node = dict(model=dict(type=ATSS, heads=[dict(n=1), {}], lr=0.1), none=None)
    assert flattened(node) == {
        "model.type": "mmdet.models.detectors.atss.ATSS",
        "model.heads.0.n": "1",
        "model.heads.1": "{}",
        "model.lr": "0.1",
        "none": "None",
    }


def test_key_is_the_same_for_the_same_and_survives_its_file(data, tmp_path):
    key = key_of(config_of(data), folds=3)
    write_key(tmp_path / "run", key)
    assert read_key(tmp_path / "run") == key == key_of(config_of(data), folds=3)
    assert differences(read_key(tmp_path / "run"), key) == []
    assert read_key(tmp_path) is None
    assert {Path(path).name for path in key["files"]} == {"train.json", "val.json"}


CHANGES = {
    "config train_cfg.max_epochs: 6 there, 7 now": {"train_cfg.max_epochs": 7},
    "config optim_wrapper.optimizer.lr: 0.001 there, 0.01 now": {"optim_wrapper.optimizer.lr": 0.01},
    "config train_dataloader.batch_size: 16 there, 8 now": {"train_dataloader.batch_size": 8},
    "config model.bbox_head.loss_cls.gamma_neg: 1.0 there, 2.0 now": {"model.bbox_head.loss_cls.gamma_neg": 2.0},
    "config randomness.seed: 0 there, 5 now": {"randomness.seed": 5},
}


@pytest.mark.parametrize("line, change", CHANGES.items())
def test_any_value_of_the_config_counts(line, change, data):
    assert differences(key_of(config_of(data)), key_of(config_of(data, **change))) == [line]


@pytest.mark.parametrize("change", [dict(work_dir="elsewhere"), dict(launcher="pytorch")])
def test_where_it_runs_does_not_count(change, data):
    assert differences(key_of(config_of(data)), key_of(config_of(data, **change))) == []


def test_annotation_files_count_by_content(data):
    before, path = key_of(config_of(data)), data / "annotations/train.json"
    path.touch()
    assert differences(before, key_of(config_of(data))) == []
    edit(data, lambda content: content["annotations"].pop())
    assert differences(before, key_of(config_of(data))) == [f"{path} has another content now"]
    path.unlink()
    assert digest_of(path) == "missing"


def test_initial_weights_count_by_content(data, tmp_path):
    torch.save({"w": torch.zeros(1)}, tmp_path / "a.pth")
    options = {"load_from": str(tmp_path / "a.pth")}
    before = key_of(config_of(data, **options))
    torch.save({"w": torch.ones(300)}, tmp_path / "a.pth")
    assert differences(before, key_of(config_of(data, **options))) == [f"{tmp_path}/a.pth has another content now"]


def test_versions_count(data, monkeypatch):
    before = key_of(config_of(data))
    assert {"asl_mmdet", "torch"} <= before["versions"].keys()
    monkeypatch.setattr(run_key.stack, "installed_version", lambda name: "9.9" if name == "torch" else None)
    line = f"versions torch: {before['versions']['torch']} there, 9.9 now"
    assert line in differences(before, key_of(config_of(data)))


@pytest.mark.parametrize("there", [None, [], "text", {}, dict(config=3)])
def test_note_of_another_form_differs(there):
    assert differences(there, dict(config={"a": "1"}))


def test_many_differences_are_cut():
    lines = differences(dict(config={}), dict(config={str(i): "1" for i in range(9)}))
    assert len(lines) == 6 and lines[-1] == "and 4 more"


# The benchmark --------------------------------------------------------------------------------------------------------


def plan_of(data, folder, **more):
    text = f"configs = dict(atss={CONFIG!r})\nlosses = dict(own=None)\nbaseline = 'own'\nseeds = (0,)\n"
    (folder / "plan.py").write_text(f"{text}options = {options_of(data, **more)!r}\n", encoding="utf-8")
    return Plan.read(folder / "plan.py")


@pytest.fixture
def started(monkeypatch):
    """Trainings that end with an error at once."""
    commands = []
    monkeypatch.setattr(Processes, "run", lambda self, command, log: commands.append(command) or log.touch() or 1)
    return commands


def finish(folder):
    (folder / "run").mkdir(exist_ok=True)
    (folder / "result.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("is_finished", [False, True])
def test_changed_plan_is_refused_with_what_differs(is_finished, data, tmp_path, started):
    out, train = tmp_path / "out", ["python"]
    run_plan(plan_of(data, tmp_path), out, 1, train, [])
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    (folder / "run").mkdir(exist_ok=True)  # a checkpoint may be in it
    if is_finished:
        finish(folder)
    number = len(started)
    run_plan(plan_of(data, tmp_path), out, 1, train, [])
    assert len(started) == number + (not is_finished)
    changed = plan_of(data, tmp_path, **{"model.bbox_head.loss_cls.gamma_neg": 2.0})
    with pytest.raises(UserError, match=r"gamma_neg: 1.0 there, 2.0 now") as error:
        run_plan(changed, out, 1, train, [])
    assert folder.name in str(error.value) and "Remove their folders to run them again" in str(error.value)
    assert differing(changed, out)
    assert len(started) == number + (not is_finished)  # nothing was started


def test_changed_labels_and_number_of_processes_are_refused(data, tmp_path, started):
    out, plan = tmp_path / "out", plan_of(data, tmp_path)
    run_plan(plan, out, 1, ["python"], [])
    finish(next(path for path in out.iterdir() if path.is_dir()))
    with pytest.raises(UserError, match="processes: 1 there, 2 now"):
        run_plan(plan, out, 1, ["python", "-m", "torch.distributed.run", "--nproc_per_node=2"], [])
    edit(data, lambda content: content["annotations"].pop(), "val")
    with pytest.raises(UserError, match=r"val.json has another content now"):
        run_plan(plan, out, 1, ["python"], [])


def test_run_without_a_note_is_refused_and_reported_with_a_warning(data, tmp_path, started):
    out, plan = tmp_path / "out", plan_of(data, tmp_path)
    run_plan(plan, out, 1, ["python"], [])
    folder = next(path for path in out.iterdir() if path.is_dir())
    finish(folder)
    (folder / "key.json").unlink()
    with pytest.raises(UserError, match=r"there is no key\.json, which says what it was made with"):
        run_plan(plan, out, 1, ["python"], [])
    assert "made with something else. Remove" in message_of("benchmark", tmp_path / "plan.py", "--out", out)
    (folder / "result.json").unlink()
    done = call("benchmark", tmp_path / "plan.py", "--out", out, "--report")
    assert "warning: runs that were made with something else" in done.stderr


@pytest.mark.parametrize(
    "train, number",
    [(["python"], 1), (["torchrun", "--nproc_per_node=4"], 4), (["srun", "--ntasks=16", "--time=3"], 16)],
)
def test_number_of_processes_is_read_from_the_launcher(train, number):
    assert processes_of(train) == number


# The audit ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path):
    torch.save(dict(state_dict={}), tmp_path / "a.pth")
    return str(tmp_path / "a.pth")


def source(data, checkpoint, tta=False, **changes):
    cfg = config_of(data, **changes)
    return source_of(cfg, checkpoint, Labels(cfg), tta)


def swap_ids(content):
    first, second = content["images"][:2]
    first["id"], second["id"] = second["id"], first["id"]


@pytest.mark.parametrize(
    "change, line",
    [
        (
            {"test_dataloader.dataset.pipeline.1.scale": (256, 256)},
            "config test_dataloader.dataset.pipeline.1.scale.0",
        ),
        ({"test_dataloader.batch_size": 3}, "config test_dataloader.batch_size: 16 there, 3 now"),
        ({"model.test_cfg.score_thr": 0.3}, "config model.test_cfg.score_thr: 0.05 there, 0.3 now"),
        ({"model.data_preprocessor.bgr_to_rgb": False}, "config model.data_preprocessor.bgr_to_rgb: True there, False"),
    ],
)
def test_predictions_of_another_test_are_refused(change, line, data, checkpoint):
    lines = differences(source(data, checkpoint), source(data, checkpoint, **change))
    assert any(found.startswith(line) for found in lines), lines


def test_predictions_of_renumbered_images_are_refused(data, checkpoint, tmp_path):
    before = source(data, checkpoint)
    PredictionFile(tmp_path / "p.jsonl", before).append({})
    edit(data, swap_ids)
    with pytest.raises(UserError, match="predictions of something else: another list of images"):
        PredictionFile(tmp_path / "p.jsonl", source(data, checkpoint))


def test_predictions_of_another_checkpoint_are_refused_wherever_it_is(data, checkpoint, tmp_path):
    before = source(data, checkpoint)
    moved = shutil.copy(checkpoint, tmp_path / "b.pth")
    assert differences(before, source(data, moved)) == []
    torch.save(dict(state_dict={}, more=1), checkpoint)
    assert differences(before, source(data, checkpoint)) == ["another checkpoint"]
    assert "tta: False there, True now" in differences(before, source(data, moved, tta=True))


def test_predictions_do_not_depend_on_boxes_or_workers(data, checkpoint):
    before = source(data, checkpoint)
    edit(data, lambda content: content["annotations"].pop())
    assert differences(before, source(data, checkpoint, **{"test_dataloader.num_workers": 0})) == []


@pytest.mark.parametrize(
    "sample, found",
    [(dict(img_id=7, sample_idx=0), 7), (dict(sample_idx=2), 30), (dict(img_path="a.jpg"), 20)],
)
def test_prediction_goes_to_the_image_that_it_names(sample, found):
    assert id_of(sample, [10, 20, 30], place=1) == found


def test_lock_is_removed_at_the_end_unless_something_that_inherited_it_goes_on(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    assert not list(tmp_path.iterdir())
    with locked(tmp_path) as file:
        left_behind = subprocess.Popen(["sleep", "1000"], pass_fds=[file.fileno()])
    try:
        with pytest.raises(BlockingIOError, match="or by a run that it left behind"), locked(tmp_path):
            pass
    finally:
        left_behind.kill()
        left_behind.wait()
    with locked(tmp_path) as file:
        assert Path(file.name).exists()
    assert not list(tmp_path.iterdir())


def test_file_that_its_holder_removed_before_it_was_locked_holds_nothing(tmp_path, monkeypatch):
    calls = []

    def lock_late(number):
        if not calls:
            (tmp_path / locks.LOCK).unlink()
        calls.append(number)
        return lock(number)

    lock = locks._lock
    monkeypatch.setattr(locks, "_lock", lock_late)
    with locked(tmp_path):
        assert len(calls) == 2
        with pytest.raises(BlockingIOError), locked(tmp_path):
            pass


def test_two_audits_of_one_folder_are_refused(data, checkpoint, tmp_path):
    options = as_arguments(options_of(data, **NO_WORKERS))
    with locked(tmp_path / "out"):
        message = message_of("audit_labels", CONFIG, checkpoint, "--out", tmp_path / "out", *options)
    assert "is in use: by process" in message
