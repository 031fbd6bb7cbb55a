"""FoundBoxesHook on short trainings with a detector whose detections are known."""

import json
from copy import deepcopy
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.structures import InstanceData
from test_ignored_boxes import HEADS

import asl_mmdet.known_classes  # noqa: F401
from asl_mmdet.hooks import FoundBoxesHook, IgnoredBoxesHook, found_boxes
from asl_mmdet.losses import MissingRateLoss

SIDE, IMAGES, EPOCHS = 64, 4, 4
LABELLED, MISSING, FAINT = [0.0, 0.0, 20.0, 20.0], [30.0, 30.0, 50.0, 56.0], [40.0, 0.0, 60.0, 16.0]
NAMES = ("a", "b")


@MODELS.register_module()
class Detector(BaseModel):
    """Finds the same three boxes in every image; keeps which boxes a training step has ignored."""

    def __init__(self):
        super().__init__(dict(type="DetDataPreprocessor"))
        self.bbox_head = MODELS.build(deepcopy(HEADS["atss"]))
        self.test_cfg = ConfigDict(score_thr=0.9)
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.ignored, self.predicted = [], []

    def forward(self, inputs, data_samples, mode):
        if mode == "loss":
            assert self.training
            self.ignored += [sample.ignored_instances for sample in data_samples]
            return dict(loss=self.weight**2)
        assert not self.training and not torch.is_grad_enabled()
        scores = torch.tensor([0.9, 0.5, 0.2])
        boxes, labels = torch.tensor([LABELLED, MISSING, FAINT]), torch.tensor([0, 1, 1])
        for sample in data_samples:
            kept = scores >= self.test_cfg.score_thr
            sample.pred_instances = InstanceData(bboxes=boxes, labels=labels, scores=scores)[kept]
            self.predicted.append(sample.img_id)
        return data_samples

    def ignored_in(self, epoch):
        """The ignored boxes of the four images of an epoch, from 0."""
        return [one.bboxes.tolist() for one in self.ignored[IMAGES * epoch : IMAGES * (epoch + 1)]]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images with one labelled object each; the last one is complete, the one before labelled for class a only."""
    register_all_modules()
    folder = tmp_path_factory.mktemp("data")
    content = dict(images=[], annotations=[], categories=[dict(id=k + 1, name=name) for k, name in enumerate(NAMES)])
    for k in range(1, IMAGES + 1):
        cv2.imwrite(str(folder / f"{k}.png"), np.zeros((SIDE, SIDE, 3), np.uint8))
        content["images"].append(dict(id=k, file_name=f"{k}.png", width=SIDE, height=SIDE))
        box = dict(bbox=[0, 0, 20, 20], area=400, iscrowd=0, category_id=1)
        content["annotations"].append(dict(id=k, image_id=k, **box))
    (folder / "train.json").write_text(json.dumps(content))
    content["images"][-1]["complete"] = True
    content["images"][-2]["known_categories"] = ["a"]
    (folder / "partly.json").write_text(json.dumps(content))
    return folder


def runner_of(data, work_dir, hook=None, **changes):
    pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True)]
    dataset = dict(type="CocoDataset", data_root=str(data), ann_file="train.json", data_prefix=dict(img=""))
    dataset |= dict(metainfo=dict(classes=NAMES), pipeline=[*pipeline, dict(type="PackDetInputs")])
    loader = dict(batch_size=3, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=True), dataset=dataset)
    tested = deepcopy(dataset)
    tested["pipeline"] = [pipeline[0], dict(type="Resize", scale=(128, 128)), dict(type="PackDetInputs")]
    cfg = Config(
        dict(
            default_scope="mmdet",
            model=dict(type="Detector"),
            work_dir=str(work_dir),
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=EPOCHS),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
            custom_hooks=[hook or dict(type="FoundBoxesHook", margin=1, missing_rate=0.5)],
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1)),
            log_level="WARNING",
            experiment_name=f"{work_dir}{np.random.default_rng().random()}",
            randomness=dict(seed=0),
        )
    )
    cfg.merge_from_dict(changes)
    # Only its pipeline is used; a loop of validation would need an evaluator.
    runner = Runner.from_cfg(cfg)
    runner.cfg.val_dataloader = dict(dataset=tested)
    return runner


def boxes_in(epoch, runner):
    return sorted(runner.model.ignored_in(epoch))


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_found_is_ignored_from_the_next_epoch_on(data, tmp_path, workers):
    loader = {"train_dataloader.num_workers": workers, "train_dataloader.persistent_workers": bool(workers)}
    runner = runner_of(data, tmp_path, dict(type="FoundBoxesHook", margin=1, missing_rate=0.5, at=[0.5]), **loader)
    runner.train()
    assert [boxes_in(epoch, runner) for epoch in range(EPOCHS)] == [[[]] * IMAGES] * 2 + [[[MISSING]] * IMAGES] * 2
    assert sorted(runner.model.predicted) == list(range(1, IMAGES + 1))
    assert all(one.labels.tolist() == [1] for one in runner.model.ignored[-IMAGES:])
    assert runner.model.test_cfg.score_thr == 0.9
    assert sum(isinstance(hook, IgnoredBoxesHook) for hook in runner.hooks) == 1


def test_boxes_go_through_flips_and_mosaic(data, tmp_path):
    plain = runner_of(data, tmp_path / "plain").cfg.train_dataloader
    inner = {**plain["dataset"], "pipeline": plain["dataset"]["pipeline"][:-1]}
    mixing = [
        dict(type="Mosaic", img_scale=(SIDE, SIDE)),
        dict(type="RandomFlip", prob=1.0),
        dict(type="PackDetInputs"),
    ]
    dataset = dict(type="MultiImageMixDataset", dataset=inner, pipeline=mixing)
    loader = {"train_dataloader": dict(plain, dataset=dict(dataset, _delete_=True))}
    runner = runner_of(
        data, tmp_path / "mosaic", dict(type="FoundBoxesHook", margin=1, missing_rate=0.5, at=[0.5]), **loader
    )
    runner.train()
    assert not any(map(len, runner.model.ignored[: 2 * IMAGES]))
    assert all(map(len, runner.model.ignored[2 * IMAGES :]))


def test_as_many_boxes_are_found_as_objects_are_missing_and_the_last_time_counts(data, tmp_path):
    """One object of each image is labelled: with two thirds missing, two more are found, with a third half of one."""
    runner = runner_of(data, tmp_path, dict(type="FoundBoxesHook", margin=1, missing_rate=2 / 3, at=[0.25, 0.75]))
    runner.train()
    hook = hook_of(runner)
    for epoch in range(1, EPOCHS):
        assert boxes_in(epoch, runner) == [[MISSING, FAINT]] * IMAGES
    assert len(runner.model.predicted) == 2 * IMAGES
    hook.missing_rate = 1 / 3
    assert hook._find(runner)[0][:, 1:5].unique(dim=0).tolist() == [MISSING]
    hook.margin = 3
    assert len(hook._find(runner)[0]) == 2 * IMAGES


def test_complete_images_and_unknown_classes_are_left_alone(data, tmp_path):
    dataset = {"train_dataloader.dataset.type": "KnownClassesCoco", "train_dataloader.dataset.ann_file": "partly.json"}
    runner = runner_of(data, tmp_path, dict(type="FoundBoxesHook", margin=1, missing_rate=0.4), **dataset)
    runner.train()
    assert boxes_in(EPOCHS - 1, runner) == [[]] * 2 + [[MISSING]] * 2
    assert IMAGES not in runner.model.predicted


@pytest.mark.parametrize("stop", [2, 3])
def test_resumed_training_is_as_the_whole_one(data, tmp_path, stop):
    """From the checkpoint before the boxes are looked for, and from one that has them."""
    hook = dict(type="FoundBoxesHook", margin=1, missing_rate=0.5, at=[0.5])
    whole = runner_of(data, tmp_path, hook)
    whole.train()
    file = str(tmp_path / f"epoch_{stop}.pth")
    resumed = runner_of(data, tmp_path, hook, load_from=file, resume=True)
    resumed.train()
    rest = EPOCHS - stop
    assert [boxes_in(epoch, resumed) for epoch in range(rest)] == [[[MISSING]] * IMAGES] * rest
    assert len(resumed.model.predicted) == (IMAGES if stop == 2 else 0)
    assert torch.equal(found_in(resumed), found_in(whole))


def found_in(runner):
    return runner.message_hub.get_info("found_boxes")["boxes"][0]


def hook_of(runner, kind=FoundBoxesHook):
    return next(hook for hook in runner.hooks if isinstance(hook, kind))


def test_resume_with_other_images_is_refused(data, tmp_path):
    runner_of(data, tmp_path).train()
    other = runner_of(data, tmp_path, load_from=str(tmp_path / "epoch_4.pth"), resume=True)
    other.cfg.train_cfg.max_epochs = EPOCHS + 1
    other._train_dataloader.dataset.indices = [0, 1]
    with pytest.raises(ValueError, match=r"found in \[4\] images, and the training set has \[2\]"):
        other.train()


def test_processes_share_the_images_and_have_the_same_boxes(data, tmp_path, monkeypatch):
    runner = runner_of(data, tmp_path)
    runner.train()
    hook, parts = hook_of(runner), []
    for rank in range(2):
        monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda rank=rank: (rank, 2))
        monkeypatch.setattr(found_boxes, "all_gather_object", lambda mine: parts.append(mine) or [mine])
        hook._find(runner)
    assert [len(part) for part in parts] == [IMAGES // 2] * 2
    monkeypatch.setattr(found_boxes, "all_gather_object", lambda mine: parts)
    assert torch.equal(hook._find(runner)[0], found_in(runner))


@pytest.mark.parametrize(
    "argument", [dict(at=()), dict(at=(0.5, 1)), dict(missing_rate=0), dict(missing_rate="half"), dict(margin=0)]
)
def test_argument_out_of_range_is_refused(argument):
    with pytest.raises(ValueError, match=f"{next(iter(argument))}="):
        FoundBoxesHook(**argument)


def test_training_by_iterations_is_refused():
    loop = object.__new__(IterBasedTrainLoop)
    with pytest.raises(ValueError, match="use EpochBasedTrainLoop"):
        FoundBoxesHook().before_train(SimpleNamespace(train_loop=loop))


def test_a_loss_that_ignores_as_much_is_refused(data, tmp_path):
    runner = runner_of(data, tmp_path)
    runner.model.bbox_head.loss_cls = MissingRateLoss(use_sigmoid=True)
    with pytest.raises(ValueError, match="would ignore it twice"):
        runner.train()


def test_a_data_set_of_another_kind_and_a_config_without_a_test_pipeline_are_refused(data, tmp_path):
    runner = runner_of(data, tmp_path)
    runner.cfg.pop("val_dataloader")
    with pytest.raises(ValueError, match="write a val_dataloader"):
        runner.train()
    with pytest.raises(ValueError, match="cannot put boxes into list"):
        list(found_boxes._single_datasets([]))
