import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from annotated import coco
from mmdet.registry import DATASETS, METRICS
from mmengine.config import Config
from mmengine.dataset import ConcatDataset
from torch import nn

import asl_mmdet.known_classes  # noqa: F401  (registers the data sets and the metric)
from asl_mmdet.checks import check_datasets
from asl_mmdet.checks.preflight import check_labels
from asl_mmdet.coco.drop_boxes import drop_boxes
from asl_mmdet.coco.known_categories import known_categories
from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.hooks.known_classes import KnownClassesHook, unknown_classes
from asl_mmdet.hooks.masked_scores import MaskedScores, mark

NAMES = {1: "cat", 2: "dog", 7: "cow"}
CLASSES = ("cow", "dog", "cat", "car")


def coco_file(path, categories, records=({}, {}), boxes=((1, 1), (2, 1))):  # noqa: B006
    """Two images; boxes are (image id, category id)."""
    images = {i: dict(file_name=f"{i}.jpg", **extra) for i, extra in enumerate(records, 1)}
    path.write_text(json.dumps(coco(categories, images, boxes)))
    return path


def dataset(path, classes=CLASSES, **options):
    pack = dict(type="mmdet.PackDetInputs", meta_keys=("img_id",))
    pipeline = [lambda results: {**results, "img": np.zeros((64, 64, 3), np.uint8)}, pack]
    block = dict(
        type="KnownClassesCoco",
        data_prefix=dict(img=""),
        ann_file=str(path),
        metainfo=dict(classes=classes),
        pipeline=pipeline,
    )
    return DATASETS.build({**block, **options})


@pytest.mark.parametrize(
    "record, annotated, expected",
    [
        ({}, {1}, {1, 2, 7}),
        (dict(known_categories=["cat", 7]), {7}, {1, 7}),
        (dict(known_categories=[]), set(), set()),
        (dict(neg_category_ids=[2]), {1}, {1, 2}),
        (dict(neg_category_ids=[2], not_exhaustive_category_ids=[1]), {1}, {2}),
        (dict(known_categories=["cat"], not_exhaustive_category_ids=[7]), {7}, {1}),
    ],
)
def test_known_categories_of_a_record(record, annotated, expected):
    assert known_categories(record, annotated, NAMES) == expected


@pytest.mark.parametrize(
    "record, message",
    [
        (dict(known_categories=["dog"]), "boxes of cat.*not_exhaustive_category_ids"),
        (dict(known_categories=["horse"]), r"known_categories has \['horse'\].*cat, dog, cow"),
        (dict(known_categories="cat"), "'cat' is not a list"),
    ],
)
def test_a_record_that_cannot_be_is_an_error(record, message):
    with pytest.raises(ValueError, match=message):
        known_categories(record, {1}, NAMES)


def test_two_sets_with_different_classes_are_merged_by_name(tmp_path):
    animals = coco_file(tmp_path / "animals.json", NAMES, boxes=((1, 7), (2, 1)))
    cars = coco_file(tmp_path / "cars.json", {1: "car"})
    merged = ConcatDataset([dataset(animals), dataset(cars)])
    samples = [merged[i]["data_samples"] for i in range(4)]
    assert [sample.known_classes for sample in samples] == [(0, 1, 2), (0, 1, 2), (3,), (3,)]
    infos = [merged.get_data_info(i)["instances"][0]["bbox_label"] for i in range(4)]
    assert [CLASSES[label] for label in infos] == ["cow", "cat", "car", "car"]


def test_data_samples_say_which_images_are_complete(tmp_path):
    images = dataset(coco_file(tmp_path / "a.json", NAMES, records=(dict(complete=True), dict(complete=False))))
    assert [images[i]["data_samples"].complete for i in range(2)] == [True, False]
    with pytest.raises(ValueError, match=r"b.json.*2.jpg.*complete='yes'"):
        dataset(coco_file(tmp_path / "b.json", NAMES, records=({}, dict(complete="yes"))))[1]


def test_a_set_without_any_of_the_classes_or_without_a_list_is_refused(tmp_path):
    path = coco_file(tmp_path / "a.json", NAMES)
    with pytest.raises(ValueError, match="cat, dog, cow"):
        dataset(path, ("plane",))
    with pytest.raises(ValueError, match="metainfo=dict"):
        DATASETS.build(dict(type="KnownClassesCoco", ann_file=str(path)))


def test_the_checks_allow_a_missing_class_and_find_boxes_of_an_unknown_one(tmp_path):
    path = coco_file(tmp_path / "a.json", NAMES, records=({}, dict(known_categories=["dog"])))
    block = dict(type="KnownClassesCoco", ann_file=str(path), metainfo=dict(classes=CLASSES))
    found = check_datasets(Config(dict(train_dataloader=dict(dataset=block))), ["train"], False)
    codes = {finding.code: finding for finding in found["train_dataloader.dataset"]}
    assert "D209" not in codes and "boxes of cat" in codes["D213"].examples[0]


def test_the_checks_know_boxes_of_an_unknown_class(tmp_path):
    path = coco_file(tmp_path / "a.json", {1: "thing", 2: "dog"}, records=({}, dict(known_categories=["dog"])))
    block = dict(type="KnownClassesCoco", ann_file=str(path), metainfo=dict(classes=("dog",)))
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type="RepeatDataset", dataset=block))))

    def codes():
        found = check_datasets(cfg, ["train"], False).values()
        return {finding.code for findings in found for finding in findings} | {f.code for f in check_labels(cfg)}

    assert codes() >= {"D210", "D213"}
    cfg.train_dataloader.dataset.dataset.unknown_class = "thing"
    assert "P106" in codes() and not codes() & {"D210", "D213"}
    cfg.custom_hooks = [dict(type="KnownClassesHook")]
    assert "P106" not in codes()


def test_boxes_of_an_unknown_class_have_the_number_of_classes_as_label(tmp_path):
    path = coco_file(
        tmp_path / "a.json",
        {1: "thing", 4: "dog"},
        records=({}, dict(known_categories=["dog"])),
        boxes=((1, 4), (2, 1)),
    )
    images = dataset(path, ("cat", "dog"), unknown_class="thing", filter_cfg=dict(filter_empty_gt=True))
    samples = [images[i]["data_samples"] for i in range(2)]  # the second one is not empty
    labels = [[instance["bbox_label"] for instance in images.get_data_info(i)["instances"]] for i in range(2)]
    assert labels == [[1], [2]]
    assert [(sample.known_classes, sample.has_unknown_class) for sample in samples] == [((1,), False), ((1,), True)]
    with pytest.raises(ValueError, match=r"unknown_class='dog', which is one of metainfo\.classes"):
        dataset(path, ("cat", "dog"), unknown_class="dog")


def test_predictions_on_boxes_of_an_unknown_class_are_neither_right_nor_wrong(tmp_path):
    names = {1: "cat", 2: "dog", 3: "thing"}
    path = coco_file(tmp_path / "a.json", names, boxes=((1, 1), (2, 3)))
    known, both = {1: (0, 1), 2: (0, 1)}, ("cat", "dog")
    wrong = evaluate(path, {2: [0, 0, 1], 1: [0]}, both, known, scores={2: 0.9, 1: 0.5})
    assert wrong["coco/bbox_mAP"] < 0.5
    options = dict(unknown_class="thing", scores={2: 0.9, 1: 0.5})
    twice = evaluate(path, {2: [0, 0, 1], 1: [0]}, both, known, **options)  # two on one box
    assert twice["coco/bbox_mAP"] == 1
    inside = {2: [4.0, 4, 12, 12]}  # a small one in it is not on it
    assert evaluate(path, {2: [0], 1: [0]}, both, known, boxes=inside, **options)["coco/bbox_mAP"] < 0.6
    path = coco_file(tmp_path / "b.json", names, boxes=((1, 1), (1, 3)))  # at one place: the known one is found
    assert evaluate(path, {1: [0]}, both, known, unknown_class="thing")["coco/bbox_mAP"] == 1


def test_an_evaluation_leaves_no_boxes_behind(tmp_path):
    path = coco_file(tmp_path / "a.json", {1: "cat", 3: "thing"}, boxes=((1, 1), (1, 3)))
    metric = METRICS.build(dict(type="KnownClassesCocoMetric", ann_file=str(path), unknown_class="thing"))
    evaluate(path, {1: [0]}, ("cat",), {1: (0,)}, metric=metric)
    assert list(metric._coco_api.anns) == [1, 2] == [entry["id"] for entry in metric._coco_api.imgToAnns[1]]


def evaluate(path, predictions, classes, known, boxes=None, scores=None, metric=None, **options):
    metric = metric or METRICS.build(dict(type="KnownClassesCocoMetric", ann_file=str(path), **options))
    metric.dataset_meta = dict(classes=classes)
    samples = [
        dict(
            img_id=image,
            ori_shape=(64, 64),
            known_classes=known[image],
            pred_instances=dict(
                bboxes=torch.tensor([(boxes or {}).get(image, [4.0, 4, 24, 24])] * len(labels)),
                scores=torch.linspace(0.9, 0.8, len(labels)) * (scores or {}).get(image, 1),
                labels=torch.tensor(labels),
            ),
        )
        for image, labels in predictions.items()
    ]
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_ap_leaves_out_predictions_and_boxes_of_unknown_classes(tmp_path):
    path = coco_file(tmp_path / "a.json", NAMES, boxes=((1, 1), (2, 2)))
    predictions = {1: [1, 2], 2: [1]}  # dog and cat in the first, where the dog has no box
    everything = {1: (0, 1, 2), 2: (0, 1, 2)}
    assert evaluate(path, predictions, CLASSES, everything)["coco/bbox_mAP"] < 0.9
    assert evaluate(path, predictions, CLASSES, {1: (2,), 2: (1,)})["coco/bbox_mAP"] == 1.0
    path = coco_file(tmp_path / "b.json", NAMES, boxes=((1, 1), (2, 2), (2, 1)))
    missed = {1: [2], 2: [1]}  # the cat in the second is not found
    assert evaluate(path, missed, CLASSES, everything)["coco/bbox_mAP"] < 0.9
    assert evaluate(path, missed, CLASSES, {1: (2,), 2: (1,)})["coco/bbox_mAP"] == 1.0


def test_the_metric_says_what_is_missing(tmp_path):
    path = coco_file(tmp_path / "a.json", NAMES)
    metric = METRICS.build(dict(type="KnownClassesCocoMetric", ann_file=str(path)))
    with pytest.raises(ValueError, match=r"known_classes.*KnownClassesCoco"):
        metric.process({}, [dict(img_id=1)])
    with pytest.raises(ValueError, match="metric='proposal'"):
        METRICS.build(dict(type="KnownClassesCocoMetric", ann_file=str(path), metric="proposal"))
    with pytest.raises(ValueError, match="ann_file"):
        METRICS.build(dict(type="KnownClassesCocoMetric"))


def test_marks_follow_the_layout_and_nothing_else():
    plain = torch.randn(2, 6, 3, 4, requires_grad=True)
    scores = mark(plain, plain > 0)
    flat = torch.cat([scores.permute(0, 2, 3, 1).reshape(2, -1, 3), scores.permute(0, 2, 3, 1).reshape(2, -1, 3)], 1)
    rows = flat.view(-1, 3).contiguous()[torch.tensor([3, 5, 0])].float()
    assert torch.equal(rows.marks, rows.as_subclass(torch.Tensor) > 0)
    assert not isinstance(flat.sigmoid(), MaskedScores)
    assert not isinstance(torch.cat([scores, plain]), MaskedScores)
    rows.sum().backward()
    assert plain.grad.sum() == 9


def test_unknown_classes_need_the_meta_key_and_indices_of_the_head():
    expected = torch.tensor([[False, True, False], [True, True, True]])
    assert torch.equal(unknown_classes([dict(known_classes=(0, 2)), dict(known_classes=())], 3), expected)
    with pytest.raises(ValueError, match=r"a.jpg.*known_classes.*KnownClassesCoco"):
        unknown_classes([dict(img_path="a.jpg")], 3)
    with pytest.raises(ValueError, match=r"3.*num_classes=3"):
        unknown_classes([dict(known_classes=(3,))], 3)


@pytest.mark.parametrize("config", [dict(compile=True), dict(train_dataloader=dict(dataset=dict(type="MixUp")))])
def test_mixed_images_and_compiled_models_are_refused(config):
    with pytest.raises(ValueError, match=r"leave (it|compile) out"):
        KnownClassesHook().before_train(SimpleNamespace(model=nn.Module(), cfg=Config(config)))


def test_halves_of_classes_and_of_images(tmp_path):
    content = json.loads((make_shapes(tmp_path / "all", 40, 1) / "annotations/train.json").read_text())
    halves = drop_boxes(content, "half_classes", seed=3)
    expected = {tuple(range(1, 25, 2)), tuple(range(2, 25, 2))}
    assert {tuple(image["known_categories"]) for image in halves["images"]} == expected
    known = {image["id"]: image["known_categories"] for image in halves["images"]}
    kept = [a for a in content["annotations"] if a["category_id"] in known[a["image_id"]]]
    assert halves["annotations"] == kept
    images = drop_boxes(content, "half_images", seed=3)
    left = {image["id"] for image in images["images"]}
    assert 10 < len(left) < 30
    assert images["annotations"] == [a for a in content["annotations"] if a["image_id"] in left]


def test_lvis_file_gives_the_classes_that_every_image_was_checked_for(tmp_path):
    pytest.importorskip("lvis")
    url = "http://images.cocodataset.org/train2017/{}.jpg"
    size = dict(width=64, height=64)
    images = [
        dict(id=1, coco_url=url.format(1), neg_category_ids=[2], not_exhaustive_category_ids=[], **size),
        dict(id=2, coco_url=url.format(2), neg_category_ids=[], not_exhaustive_category_ids=[3], **size),
    ]
    box = dict(bbox=[4, 4, 20, 20], area=400, segmentation=[[4, 4, 24, 4, 24, 24]])
    boxes = [dict(id=n, image_id=i, category_id=c, **box) for n, i, c in ((1, 1, 1), (2, 2, 3), (3, 2, 4))]
    categories = [dict(id=i, name=f"thing {i}") for i in range(1, 5)]
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps(dict(images=images, annotations=boxes, categories=categories)))
    block = dict(type="KnownClassesLVIS", ann_file=str(path), data_prefix=dict(img=""))
    lvis = DATASETS.build(block)
    infos = [lvis.get_data_info(i) for i in range(len(lvis))]
    assert [info["known_classes"] for info in infos] == [(0, 1), (3,)]
    assert [[instance["bbox_label"] for instance in info["instances"]] for info in infos] == [[0], [2, 3]]
    assert infos[0]["img_path"].endswith("train2017/1.jpg")
