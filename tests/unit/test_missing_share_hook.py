"""MissingShareHook on a runner of which it sees the model, the validation loader and the message hub."""

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

from asl_mmdet.hooks import MissingShareHook
from asl_mmdet.losses import AsymmetricLoss, MissingRateLoss

PER_IMAGE = 10
CLASSES = ("cat", "dog")


def box(place):
    return [20.0 * place, 0.0, 20.0 * place + 10, 10.0]


class Images:
    """Images of ten objects in a row, of which a share lacks its box."""

    metainfo: ClassVar = dict(classes=CLASSES)

    def __init__(self, number, rate):
        self.kept = np.random.default_rng(0).random((number, PER_IMAGE)) >= rate

    def __len__(self):
        return len(self.kept)

    def get_data_info(self, index):
        places = np.flatnonzero(self.kept[index])
        return dict(img_id=100 + index, instances=[dict(bbox=box(place), bbox_label=place % 2) for place in places])

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


def runner_of(name, rate=0.4, number=100, loss=None, max_iters=20):
    loss = MissingRateLoss(True, missing_rate=0.25) if loss is None else loss
    loader = Loader(Images(number, rate))
    return SimpleNamespace(
        model=Model(loss),
        val_loop=object(),
        val_dataloader=loader,
        message_hub=MessageHub.get_instance(name),
        logger=SimpleNamespace(info=lambda text: None),
        max_iters=max_iters,
        iter=0,
    )


def train(runner, hook, until):
    hook.before_train(runner)
    shares = []
    for runner.iter in range(until):
        hook.after_train_iter(runner, runner.iter)
        shares.append(runner.model.loss_cls.missing_rate)
    return shares


def test_loss_is_told_the_share_at_the_times_that_are_wanted(request):
    runner = runner_of(request.node.name)
    shares = train(runner, MissingShareHook(at=(0.25, 0.5)), 20)
    assert shares[:4] == [0.25] * 4  # the config's, until a quarter of 20 iterations is done
    assert len(set(shares[4:])) == 1
    assert shares[-1] == pytest.approx(runner.val_dataloader.dataset.share, abs=0.05)
    assert len(runner.model.predicted) == 2 * 100


@pytest.mark.parametrize("rate", [0, 0.7])
def test_share_follows_the_data(request, rate):
    runner = runner_of(request.node.name, rate, number=300)
    assert train(runner, MissingShareHook(), 20)[-1] == pytest.approx(rate, abs=0.06)


def test_loss_that_is_told_that_nothing_is_missing_comes_to_ignore_nothing():
    loss = MissingRateLoss(True, ignore_above=0.3)
    loss.missing_rate = 0.0
    for _ in range(200):
        loss(torch.full((4, 2), 3.0), torch.tensor([0, 1, 2, 2]), avg_factor=2)
        loss.step()
    assert loss.ignore_above > torch.tensor(3.0).sigmoid()


def test_training_goes_on_as_if_nothing_had_been_predicted(request):
    runner = runner_of(request.node.name)
    before = runner.model.test_cfg
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    train(runner, MissingShareHook(), 20)
    assert torch.equal(torch.rand(1), expected)
    assert runner.model.training and runner.model.test_cfg is before and before.score_thr == 0.5
    assert torch.is_grad_enabled()


def test_no_more_images_are_predicted_than_allowed(request):
    runner = runner_of(request.node.name)
    train(runner, MissingShareHook(at=(0.5,), max_images=12), 20)
    assert len(runner.model.predicted) == 15  # whole batches


def test_a_resumed_training_continues_with_the_estimate(request):
    first = runner_of(request.node.name)
    share = train(first, MissingShareHook(at=(0.25,)), 10)[-1]
    resumed = runner_of("other")
    resumed.message_hub.load_state_dict(first.message_hub.state_dict())
    assert train(resumed, MissingShareHook(at=(0.25,)), 1) == [share]
    assert share != 0.25


def test_without_an_annotation_the_share_stays(request):
    assert set(train(runner_of(request.node.name, rate=1), MissingShareHook(), 20)) == {0.25}


def test_what_cannot_work_is_refused(request):
    runner = runner_of(request.node.name, loss=AsymmetricLoss(True))
    with pytest.raises(ValueError, match="no MissingRateLoss"):
        MissingShareHook().before_train(runner)
    runner = runner_of(request.node.name)
    runner.val_loop = None
    with pytest.raises(ValueError, match="no val_dataloader"):
        MissingShareHook().before_train(runner)


@pytest.mark.parametrize("options", [dict(at=()), dict(at=(0.5, 1)), dict(max_images=0)])
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MissingShareHook(**options)
