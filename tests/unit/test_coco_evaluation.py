"""A perfect prediction has an AP of 1, whatever the ids of the annotation file are."""

import json
import random

import pytest
import torch
from annotated import coco
from mmdet.registry import DATASETS, METRICS
from mmdet.utils import register_all_modules

import asl_mmdet.known_classes  # noqa: F401
from asl_mmdet.coco.evaluation import make_evaluable

RANDOM = random.Random(0)


def perfect():
    """Three images, two classes, two boxes an image."""
    boxes = [(i, c, [10.0 + 40 * c, 20.0, 30.0, 25.0 + i]) for i in (1, 2, 3) for c in (1, 2)]
    images = {i: dict(file_name=f"{i}.jpg", width=128, height=96) for i in (1, 2, 3)}
    return coco({1: "cat", 2: "dog"}, images, boxes)


def renumbered(content, key, number):
    """The content with other ids of one list, and of what refers to it."""
    new = {entry["id"]: number(i) for i, entry in enumerate(content[key])}
    for entry in content[key]:
        entry["id"] = new[entry["id"]]
    reference = dict(images="image_id", categories="category_id").get(key)
    for entry in content["annotations"] if reference else []:
        entry[reference] = new[entry[reference]]
    return content


def evaluate(content, folder, metric="CocoMetric", dataset="CocoDataset"):
    """COCO's numbers of predictions that are the annotations."""
    register_all_modules(init_default_scope=False)
    path = folder / "val.json"
    path.write_text(json.dumps(content))
    classes = dict(metainfo=dict(classes=("cat", "dog")))
    data = DATASETS.build(
        dict(type=dataset, ann_file=str(path), data_prefix=dict(img=""), test_mode=True, pipeline=[], **classes)
    )
    judge = METRICS.build(dict(type=metric, ann_file=str(path)))
    judge.dataset_meta = data.metainfo
    for i in range(len(data)):
        info = data.get_data_info(i)
        found = dict(
            bboxes=torch.tensor([one["bbox"] for one in info["instances"]]).reshape(-1, 4),
            labels=torch.tensor([one["bbox_label"] for one in info["instances"]], dtype=torch.long),
            scores=torch.full((len(info["instances"]),), 0.9),
        )
        sample = dict(img_id=info["img_id"], ori_shape=(96, 128), pred_instances=found, known_classes=(0, 1))
        judge.process({}, [sample])
    return judge.evaluate(len(data))


NUMBERS = {
    "from 0": lambda i: i,
    "negative": lambda i: -i,
    "as pandas writes them": float,
    "fractions": lambda i: i + 0.5,
    "more than 53 bits": lambda i: 2**53 + i,
    "64 bits in part": lambda i: 2**63 + i if i % 2 else i,
    "64 bits and negative": lambda i: 2**63 + i if i % 2 else -i - 1,
    "128 bits": lambda i: RANDOM.getrandbits(128),
}
ANNOTATIONS = {
    "text": lambda i: f"box-{i}",
    "digits": str,
    "text in part": lambda i: str(i) if i % 2 else i,
    "bool": lambda i: bool(i) if i < 2 else i,
    "none": lambda i: i or None,
    "not a number": lambda i: i or float("nan"),
    "400 digits": lambda i: 10**400 + i,
}


@pytest.mark.parametrize(
    "metric, dataset", [("CocoMetric", "CocoDataset"), ("KnownClassesCocoMetric", "KnownClassesCoco")]
)
@pytest.mark.parametrize(
    "key, number",
    [(key, name) for key in ("images", "annotations", "categories") for name in NUMBERS]
    + [("annotations", name) for name in ANNOTATIONS],
)
def test_perfect_prediction_has_an_ap_of_1_whatever_the_ids_are(key, number, metric, dataset, tmp_path):
    content = renumbered(perfect(), key, (NUMBERS | ANNOTATIONS)[number])
    assert evaluate(content, tmp_path, metric, dataset)["coco/bbox_mAP"] == 1


def test_a_second_evaluation_of_one_metric_is_as_right():
    judge = METRICS.build(dict(type="mmdet.CocoMetric"))
    judge.dataset_meta = dict(classes=("cat", "dog"))
    box = torch.tensor([[1.0, 2.0, 30.0, 40.0]])
    found = dict(bboxes=box, labels=torch.tensor([1]), scores=torch.tensor([0.9]))
    true = [dict(bbox=box[0].tolist(), bbox_label=1)]
    for _ in range(2):
        judge.process({}, [dict(img_id=7, ori_shape=(64, 64), pred_instances=found, instances=true)])
        assert judge.evaluate(1)["coco/bbox_mAP"] == 1


@pytest.mark.parametrize("value", ["missing", None, "", False, 0.0])
def test_iscrowd_that_says_no_is_0(value, tmp_path):
    content = perfect()
    for entry in content["annotations"]:
        entry.pop("iscrowd") if value == "missing" else entry.update(iscrowd=value)
    assert evaluate(content, tmp_path)["coco/bbox_mAP"] == 1


@pytest.mark.parametrize("value", ["0", "1", "false", [], {}])
def test_iscrowd_that_is_no_number_is_refused(value, tmp_path):
    content = perfect()
    content["annotations"][2]["iscrowd"] = value
    with pytest.raises(ValueError, match=r"CocoMetric: annotation 3 .*iscrowd=.*write 0, or 1 for a region"):
        evaluate(content, tmp_path)


@pytest.mark.parametrize("key", ["images", "categories"])
@pytest.mark.parametrize(
    "number, message",
    [
        (lambda i: 5 if i < 2 else i + 1, "have the id 5 more than once: renumber them"),
        (lambda i: "a" if i else 1, "have ids of several kinds: renumber them"),
        (lambda i: i or None, "have ids of several kinds: renumber them"),
    ],
    ids=["twice", "text in part", "none"],
)
def test_ids_that_cannot_be_told_apart_are_refused(key, number, message, tmp_path):
    content = renumbered(perfect(), key, number)
    if message.startswith("have ids") and key == "images":
        content["images"] = content["images"][:2]
        content["annotations"] = [
            a for a in content["annotations"] if a["image_id"] in {i["id"] for i in content["images"]}
        ]
    with pytest.raises(ValueError, match=rf"CocoMetric: {key} of the annotation file {message}"):
        evaluate(content, tmp_path)


def test_sound_ids_stay_as_they_are():
    class Api:
        dataset = perfect()

    before = json.dumps(Api.dataset)
    assert make_evaluable(Api) is Api
    assert json.dumps(Api.dataset) == before and not hasattr(Api, "anns")
