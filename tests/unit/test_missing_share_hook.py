"""MissingShareHook on a runner of which it sees the model, the validation loader and the message hub."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch import nn

from asl_mmdet.hooks import FoundBoxesHook, MissingShareHook
from asl_mmdet.hooks.missing_share import _places
from asl_mmdet.losses import AsymmetricLoss, MissingRateLoss

PER_IMAGE = 10
CLASSES = ("cat", "dog")


def box(place):
    return [20.0 * place, 0.0, 20.0 * place + 10, 10.0]


class Images:
    """Images of ten objects in a row, of which a share lacks its box."""

    metainfo: ClassVar = dict(classes=CLASSES)

    def __init__(self, number, rate):
        self.complete = 0  # so many of them
        self.unknown = ()  # the places of objects whose class nobody knows
        self.known = None  # the classes that the images were labelled for
        self.kept = np.random.default_rng(0).random((number, PER_IMAGE)) >= rate

    def __len__(self):
        return len(self.kept)

    def get_data_info(self, index):
        places = np.flatnonzero(self.kept[index])
        labels = [len(CLASSES) if place in self.unknown else place % 2 for place in places]
        instances = [dict(bbox=box(place), bbox_label=label) for place, label in zip(places, labels, strict=True)]
        known = {} if self.known is None else dict(known_classes=self.known)
        return dict(img_id=100 + index, instances=instances, complete=index < self.complete, **known)

    @property
    def share(self):
        return 1 - self.kept.mean()


class Model(nn.Module):
    """Finds every object, with scores that only a low ``score_thr`` lets through."""

    def __init__(self, loss):
        super().__init__()
        self.loss_cls, self.test_cfg, self.predicted = loss, ConfigDict(score_thr=0.5), []

    def val_step(self, batch):
        assert not self.training and not torch.is_grad_enabled()
        torch.rand(3)
        self.predicted += batch
        return [self._sample(image) for image in batch]

    def _sample(self, image):
        scores = torch.linspace(0.1, 0.4, PER_IMAGE)
        found = InstanceData(
            bboxes=torch.tensor([box(place) for place in range(PER_IMAGE)]),
            labels=torch.arange(PER_IMAGE) % 2,
            scores=scores,
        )
        return DetDataSample(metainfo=dict(img_id=image), pred_instances=found[scores >= self.test_cfg.score_thr])


class Loader(list):
    """Batches of five images."""

    def __init__(self, dataset):
        ids = [100 + index for index in range(len(dataset))]
        super().__init__(ids[start : start + 5] for start in range(0, len(ids), 5))
        self.dataset = dataset


class Log(list):
    """What was logged."""

    def info(self, text):
        self.append(text)

    warning = info


def runner_of(folder, rate=0.4, number=100, loss=None, max_iters=20):
    loss = MissingRateLoss(True, missing_rate="auto") if loss is None else loss
    loader = Loader(Images(number, rate))
    return SimpleNamespace(
        model=Model(loss),
        val_loop=object(),
        val_dataloader=loader,
        hooks=[],
        message_hub=MessageHub.get_instance(str(folder)),
        logger=Log(),
        max_iters=max_iters,
        iter=0,
        work_dir=str(folder),
        cfg=ConfigDict(),
    )


def train(runner, hook, until):
    hook.before_run(runner)
    hook.before_train(runner)
    shares = []
    for runner.iter in range(until):
        hook.after_train_iter(runner, runner.iter)
        shares.append(float(runner.model.loss_cls.missing_rate))
    hook.after_train(runner)
    return shares


def test_loss_is_told_the_share_at_the_times_that_are_wanted(tmp_path):
    runner = runner_of(tmp_path)
    shares = train(runner, MissingShareHook(at=(0.25, 0.5)), 20)
    assert shares[:4] == [0] * 4  # until a quarter of 20 iterations is done
    assert len(set(shares[4:])) == 1
    assert shares[-1] == pytest.approx(runner.val_dataloader.dataset.share, abs=0.05)
    assert len(runner.model.predicted) == 2 * 100


@pytest.mark.parametrize("rate", [0, 0.7])
def test_share_follows_the_data(tmp_path, rate):
    runner = runner_of(tmp_path, rate, number=300)
    assert train(runner, MissingShareHook(), 20)[-1] == pytest.approx(rate, abs=0.06)


def test_a_share_of_a_few_detections_is_taken_for_none(tmp_path):
    runner = runner_of(tmp_path, rate=0.03)
    assert runner.val_dataloader.dataset.share > 0
    assert train(runner, MissingShareHook(), 20) == [0] * 20
    assert runner.model.loss_cls.ignore_above == 1
    assert json.loads((tmp_path / "missing_share.json").read_text())[-1]["share"] > 0
    assert "missing_rate is 0.00, no background is ignored" in runner.logger[0]


def annotation_file(folder, name, boxes, **record):
    """A file of so many boxes and, where an audit has added some, its records, or the one of older files."""
    content = dict(images=[dict(id=0)], annotations=[dict(image_id=0, iscrowd=0)] * boxes, categories=[])
    content["annotations"] += [dict(image_id=0, iscrowd=1)] * (record.get("added", 0) * record.get("as_ignore", 0))
    if record:
        content["audit_labels"] = [record] if "as_ignore" in record else record
    (folder / name).write_text(json.dumps(content))
    return dict(dataset=dict(type="RepeatDataset", dataset=dict(data_root=str(folder), ann_file=name)))


@pytest.mark.parametrize(
    "training, validation, left",
    [
        (dict(boxes=600), dict(boxes=60), 0.4),  # nobody has added any: 400 of 1,000 are missing
        (dict(boxes=900, added=300, as_ignore=False), dict(boxes=60), 0.1),
        (dict(boxes=900, added=300), dict(boxes=60), 0.1),
        (dict(boxes=600, added=300, as_ignore=True), dict(boxes=60), 1 / 7),  # 100 missing, 600 not
        (dict(boxes=1000, added=400, as_ignore=False), dict(boxes=60), 0),
        (dict(boxes=1100, added=500, as_ignore=False), dict(boxes=60), 0),
        (dict(boxes=360), dict(boxes=60, added=24, as_ignore=False), 0.64),  # of 100, 36 had a box at first
    ],
)
def test_boxes_that_an_audit_added_are_not_missing(tmp_path, training, validation, left):
    runner = runner_of(tmp_path, rate=0.4, number=300)
    train_dataloader = annotation_file(tmp_path, "train.json", **training)
    val_dataloader = annotation_file(tmp_path, "val.json", **validation)
    runner.cfg = ConfigDict(train_dataloader=train_dataloader, val_dataloader=val_dataloader)
    assert train(runner, MissingShareHook(), 20)[-1] == pytest.approx(left, abs=0.04)
    assert ("an audit has added" in runner.logger[-2]) == ("added" in training)


def test_user_sees_the_share(tmp_path):
    runner = runner_of(tmp_path)
    share = train(runner, MissingShareHook(at=(0.25, 0.5)), 20)[-1]
    assert len(runner.logger) == 3
    assert f"missing_rate is {share:.2f}" in runner.logger[0]
    assert re.search(r"by 100 validation images: \d+ % \[\d+, \d+\]", runner.logger[0])
    assert f"missing_rate='auto': {share:.2f} [0." in runner.logger[-1]
    first, second = json.loads((tmp_path / "missing_share.json").read_text())
    assert first["iter"] == 5 and second["iter"] == 10
    assert first["used"] == pytest.approx(share) and second["share"] == pytest.approx(share)
    assert first["low"] < share < first["high"]


def test_a_doubtful_estimate_is_logged_and_not_used(tmp_path):
    runner = runner_of(tmp_path, number=6)
    assert train(runner, MissingShareHook(at=(0.25,)), 20) == [0] * 20
    warning, estimate, last = runner.logger
    assert "6 validation images, which have 3" in warning and "too few" in warning
    assert "doubtful: only" in estimate and "missing_rate stays 0.00, no background is ignored" in estimate
    assert "could not be told, and no background was ignored: only" in last and "a number as missing_rate" in last
    assert json.loads((tmp_path / "missing_share.json").read_text())[0]["used"] == 0


def test_a_doubtful_estimate_keeps_the_share_that_was_told(tmp_path):
    runner, hook = runner_of(tmp_path), MissingShareHook(at=(0.25, 0.5))
    share = train(runner, hook, 6)[-1]
    runner.val_dataloader[:] = runner.val_dataloader[:1]
    for runner.iter in range(6, 20):
        hook.after_train_iter(runner)
    assert len(hook.estimates) == 2 and hook.estimates[1]["doubt"]
    assert float(runner.model.loss_cls.missing_rate) == share > 0


def test_a_training_without_an_estimate_says_so(tmp_path):
    runner = runner_of(tmp_path)
    train(runner, MissingShareHook(), 1)
    assert runner.logger == ["missing_rate='auto': the training was too short to estimate the share"]


def test_all_losses_are_told(tmp_path):
    losses = nn.ModuleList([MissingRateLoss(True, missing_rate=rate) for rate in ("auto", "auto", 0.2)])
    runner, hook = runner_of(tmp_path, loss=losses), MissingShareHook(at=(0.25,))
    hook.before_run(runner)
    hook.before_train(runner)
    runner.iter = 4
    hook.after_train_iter(runner)
    first, second, third = (float(loss.missing_rate) for loss in losses)
    assert first == second > 0.2 == third


def test_hook_that_looks_for_missing_boxes_is_told_too_also_after_a_resume(tmp_path):
    runner = runner_of(tmp_path, loss=AsymmetricLoss(True))
    told, not_told = FoundBoxesHook(), FoundBoxesHook(missing_rate=0.3)
    runner.hooks += [told, not_told]
    hook = MissingShareHook(at=(0.25,))
    hook.before_run(runner)
    hook.before_train(runner)
    assert told.missing_rate == 0
    runner.iter = 4
    hook.after_train_iter(runner, runner.iter)
    assert told.missing_rate == pytest.approx(runner.val_dataloader.dataset.share, abs=0.05)
    assert not_told.missing_rate == 0.3
    runner.hooks = [FoundBoxesHook()]
    resumed = MissingShareHook(at=(0.25,))
    resumed.before_run(runner)
    resumed.before_train(runner)
    assert runner.hooks[0].missing_rate == told.missing_rate


def test_boxes_of_an_unknown_class_are_not_missing(tmp_path):
    runner = runner_of(tmp_path)
    runner.val_dataloader.dataset.unknown = (0, 3)
    shares = train(runner, MissingShareHook(), 20)
    assert shares[-1] == pytest.approx(runner.val_dataloader.dataset.share, abs=0.05)


def test_objects_of_classes_that_an_image_was_not_labelled_for_are_left_out(tmp_path):
    runner = runner_of(tmp_path)
    dataset = runner.val_dataloader.dataset
    dataset.known, dataset.kept[:, 1::2] = (CLASSES.index("cat"),), False  # no dog has a box
    assert train(runner, MissingShareHook(), 20)[-1] == pytest.approx(1 - dataset.kept[:, ::2].mean(), abs=0.05)


def test_complete_images_are_left_out(tmp_path):
    runner = runner_of(tmp_path, rate=0.4, number=100)
    dataset = runner.val_dataloader.dataset
    dataset.complete, dataset.kept[:50] = 50, True
    share = 1 - dataset.kept[50:].mean()
    assert train(runner, MissingShareHook(), 20)[-1] == pytest.approx(share, abs=0.05)
    dataset.complete = 100
    with pytest.raises(ValueError, match="no box at all, but for those that are complete"):
        train(runner, MissingShareHook(), 20)


def test_loss_that_is_told_that_nothing_is_missing_comes_to_ignore_nothing():
    loss = MissingRateLoss(True, missing_rate="auto")
    loss.tell(0.5)
    assert loss.ignore_above < 1
    loss.tell(0.0)
    call = torch.full((4, 2), 30.0), torch.tensor([0, 1, 2, 2])
    for _ in range(3):
        torch.testing.assert_close(loss(*call), AsymmetricLoss(True)(*call), rtol=0, atol=0)
        loss.step()
    assert loss.ignore_above == 1


def test_training_goes_on_as_if_nothing_had_been_predicted(tmp_path):
    runner = runner_of(tmp_path)
    before = runner.model.test_cfg
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    train(runner, MissingShareHook(), 20)
    assert torch.equal(torch.rand(1), expected)
    assert runner.model.training and runner.model.test_cfg is before and before.score_thr == 0.5
    assert torch.is_grad_enabled()


def test_no_more_images_are_predicted_than_allowed(tmp_path):
    runner = runner_of(tmp_path)
    train(runner, MissingShareHook(at=(0.5,), max_images=12), 20)
    assert len(runner.model.predicted) == 15  # whole batches


def test_processes_estimate_as_one_that_sees_all(tmp_path, monkeypatch):
    alone, first, second = (runner_of(tmp_path / name) for name in ("alone", "first", "second"))
    for runner in (alone, first, second):
        Path(runner.work_dir).mkdir()
    first.val_dataloader[:], second.val_dataloader[:] = first.val_dataloader[::2], second.val_dataloader[1::2]
    share = train(alone, MissingShareHook(at=(0.5,), max_images=90), 20)[-1]
    monkeypatch.setattr("asl_mmdet.hooks.missing_share.get_world_size", lambda: 2)
    hook = MissingShareHook(at=(0.5,), max_images=90)
    monkeypatch.setattr("asl_mmdet.hooks.missing_share.all_gather_object", lambda own: [own, _places(hook, second)])
    assert train(first, hook, 20)[-1] == pytest.approx(share, abs=0.03)  # the first 90 images, in another order
    assert hook.estimates[0]["images"] == 90
    assert len(first.model.predicted) == len(second.model.predicted) == 45


def test_a_resumed_training_continues_with_the_estimate(tmp_path):
    first = runner_of(tmp_path)
    share = train(first, MissingShareHook(at=(0.25,)), 10)[-1]
    first.model.loss_cls.ignore_above.fill_(0.7)
    resumed = runner_of(tmp_path / "other")
    resumed.message_hub.load_state_dict(first.message_hub.state_dict())
    resumed.model.load_state_dict(first.model.state_dict())
    assert train(resumed, MissingShareHook(at=(0.25,)), 1) == [share]
    assert share > 0 and resumed.model.loss_cls.ignore_above == pytest.approx(0.7)
    assert f"missing_rate='auto': {share:.2f} [0." in resumed.logger[-1]


@pytest.mark.parametrize("loss", [AsymmetricLoss(True), MissingRateLoss(True, missing_rate=0.5)])
def test_hook_without_a_loss_that_needs_it_is_refused(tmp_path, loss):
    with pytest.raises(ValueError, match="no MissingRateLoss with missing_rate='auto'"):
        MissingShareHook().before_run(runner_of(tmp_path, loss=loss))


def test_data_that_cannot_tell_are_refused_before_the_training(tmp_path):
    runner = runner_of(tmp_path)
    runner.val_loop = None
    with pytest.raises(ValueError, match="no val_dataloader"):
        MissingShareHook().before_run(runner)
    with pytest.raises(ValueError, match="the first 100 of them have no box at all"):
        MissingShareHook().before_run(runner_of(tmp_path, rate=1))


@pytest.mark.parametrize("options", [dict(at=()), dict(at=(0.5, 1)), dict(max_images=0)])
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MissingShareHook(**options)
