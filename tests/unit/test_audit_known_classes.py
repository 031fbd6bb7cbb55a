"""The audit where images were labelled for some of the classes only, or have boxes whose class nobody knows."""

import json

import numpy as np
import pytest
from annotated import coco
from commands import ROOT, call, save_random
from mmengine.config import Config

import asl_mmdet.known_classes  # noqa: F401  (registers the data set)
from asl_mmdet.audit.apply import apply_findings
from asl_mmdet.audit.findings import Boxes, Limits, find_in_boxes
from asl_mmdet.audit.labels import Labels
from asl_mmdet.audit.missing_share import places_of
from asl_mmdet.audit.share_report import describe_missing_share
from asl_mmdet.cli.audit_labels import findings_of
from asl_mmdet.coco.drop_boxes import drop_boxes
from asl_mmdet.coco.known_categories import known_categories
from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.errors import UserError

NAMES = {3: "dog", 5: "cat", 8: "thing"}
CLASSES = ("car", "cat", "dog")  # the file has no car, and its order is another
CAR, CAT, DOG = range(3)
HERE, THERE, FAR = (0, 0, 10, 10), (40, 0, 50, 10), (80, 0, 90, 10)


def labels_of(path, records, boxes, **dataset):
    """Boxes are (image id, category id, corners)."""
    images = {i: dict(file_name=f"{i}.jpg", width=96, **more) for i, more in enumerate(records, 1)}
    boxes = [(image, c, (x1, y1, x2 - x1, y2 - y1)) for image, c, (x1, y1, x2, y2) in boxes]
    file = path / "train.json"
    file.write_text(json.dumps(coco(NAMES, images, boxes)))
    block = dict(type="KnownClassesCoco", ann_file=str(file), metainfo=dict(classes=CLASSES), **dataset)
    model = dict(bbox_head=dict(type="RetinaHead", num_classes=3))
    return Labels(Config(dict(model=model, train_dataloader=dict(dataset=block))))


def detections(*rows):
    """Of rows (corners, label, score), as the file of predictions has them."""
    boxes, labels, scores = zip(*rows, strict=True)
    return dict(boxes=list(boxes), labels=list(labels), scores=list(scores))


def find(found, given=(), known=None):
    """Of rows (corners, label, score) and (corners, label)."""
    one = detections(*found)
    boxes = Boxes(one["boxes"], one["labels"], one["scores"])
    annotated = Boxes(
        np.array([box for box, _ in given]).reshape(-1, 4),
        np.array([label for _, label in given], int),
        ids=np.arange(len(given)),
    )
    return [(f.kind, f.label, round(f.score, 5)) for f in find_in_boxes(boxes, annotated, Limits(), None, known)]


def test_object_of_a_class_that_was_not_labelled_is_not_missing():
    found = [(HERE, CAR, 0.9), (HERE, DOG, 0.3), (THERE, DOG, 0.8), (THERE, CAR, 0.4)]
    assert find(found, known={DOG, CAT}) == [("missing", DOG, 0.8)]  # at HERE is a car, so no dog either
    assert len(find(found)) == 4


def test_object_of_a_class_that_was_not_labelled_says_nothing_of_an_annotation():
    rider = [(HERE, DOG, 0.5), (HERE, CAR, 0.9)]
    assert find(rider, [(HERE, DOG)], {DOG}) == []
    assert find(rider, [(HERE, DOG)], {DOG, CAR}) == [("wrong_class", CAR, 0.4)]
    assert find(rider[1:], [(HERE, DOG)], {DOG}) == [("spurious", DOG, 1.0)]


def test_annotation_of_a_class_with_only_some_boxes_is_judged():
    """As not_exhaustive_category_ids has it: the class is not known, and a box of it is right or wrong all the same."""
    assert find([(HERE, DOG, 0.8)], [(HERE, DOG)], {CAT}) == []
    assert find([(HERE, CAT, 0.8)], [(HERE, DOG)], {CAT}) == [("wrong_class", CAT, 0.8)]


def test_box_of_an_unknown_class_is_not_missing_and_not_doubted():
    assert find([(HERE, DOG, 0.9)], [(HERE, -1)]) == []
    assert find([(THERE, DOG, 0.9)], [(HERE, -1)]) == [("missing", DOG, 0.9)]


def test_findings_go_by_the_record_of_each_image(tmp_path):
    records = [{}, dict(known_categories=["dog"]), dict(neg_category_ids=[5], not_exhaustive_category_ids=[3])]
    labels = labels_of(tmp_path, records, [(1, 8, FAR), (2, 3, FAR), (3, 3, FAR)], unknown_class="thing")
    assert [image.known for image in labels.images.values()] == [{CAT, DOG}, {DOG}, {CAT}]
    found = detections((HERE, DOG, 0.9), (THERE, CAT, 0.8), (FAR, CAR, 0.7))
    rows = findings_of(dict.fromkeys((1, 2, 3), found), labels, Limits())
    assert [(row["image_id"], row["kind"], row["category_id"], row["category"]) for row in rows] == [
        (2, "spurious", 3, "dog"),
        (3, "spurious", 3, "dog"),
        (1, "missing", 3, "dog"),
        (2, "missing", 3, "dog"),
        (1, "missing", 5, "cat"),
        (3, "missing", 5, "cat"),
    ]
    assert rows[0]["seen_category"] == "car"  # a class that the file does not have


def test_boxes_of_classes_that_an_image_was_not_labelled_for_are_told_with_the_file(tmp_path):
    with pytest.raises(UserError, match=r"train\.json: image 1\.jpg has boxes of cat"):
        labels_of(tmp_path, [dict(known_categories=["dog"])], [(1, 5, HERE)])


def test_missing_share_counts_only_what_was_labelled(tmp_path):
    labels = labels_of(
        tmp_path, [dict(known_categories=["dog"])] * 100, [(i, 3, HERE) for i in range(1, 101)], unknown_class="thing"
    )
    one = detections((HERE, DOG, 0.9), (THERE, CAT, 0.8), (FAR, CAR, 0.7))
    seen = Boxes(one["boxes"], one["labels"], one["scores"])
    told = describe_missing_share(dict.fromkeys(range(1, 101), seen), labels)
    assert told[0].startswith("objects without a box: 0 %") and "100 most confident" in told[0]
    places = places_of(seen, Boxes(np.array([FAR]), np.array([DOG])), 3, known={DOG})
    assert places.is_annotated.tolist() == [False, True]  # the dog, and what stands where a dog is annotated


def test_applied_finding_of_another_class_does_not_make_that_class_known(tmp_path):
    """A person gave the missing object a class that the image was not labelled for."""
    records = [dict(known_categories=["dog"]), dict(neg_category_ids=[3])]
    labels = labels_of(tmp_path, records, [(1, 3, FAR), (1, 8, THERE)], unknown_class="thing")
    rows = findings_of(dict.fromkeys((1, 2), detections((HERE, DOG, 0.9), (FAR, DOG, 0.9))), labels, Limits())
    rows = [{**row, "category_id": 5} for row in rows if row["bbox"][0] == 0]
    content = apply_findings(labels.content, rows, 0.5)
    assert [record["not_exhaustive_category_ids"] for record in content["images"]] == [[5], [5]]
    assert [known_categories(record, {3, 5}, NAMES) for record in content["images"]] == [{3}, {3}]
    again = apply_findings(content, rows, 0.5)
    assert again["images"] == content["images"]
    assert "not_exhaustive_category_ids" not in labels.content["images"][0]


@pytest.mark.usefixtures("mmdet_scope")
def test_tool_audits_merged_data_by_what_each_image_was_labelled_for(tmp_path):
    data = make_shapes(tmp_path / "shapes", num_train=4, num_val=1)
    file = data / "annotations/train.json"
    content = drop_boxes(json.loads(file.read_text()), "half_classes", seed=0)
    file.write_text(json.dumps(content))
    config = tmp_path / "merged.py"
    config.write_text(
        f"_base_ = {str(ROOT / 'configs/shapes/atss_r18_asl_shapes.py')!r}\n"
        "custom_imports = dict(imports=['asl_mmdet.known_classes'], allow_failed_imports=False)\n"
        f"train_dataloader = dict(dataset=dict(type='KnownClassesCoco', data_root={f'{data}/'!r}))\n"
        "test_dataloader = dict(num_workers=0, persistent_workers=False)\n"
        "model = dict(test_cfg=dict(score_thr=0.0))\n"
        "custom_hooks = [dict(type='KnownClassesHook')]\n"
    )
    save_random(Config.fromfile(config), tmp_path / "random.pth")
    done = call("audit_labels", config, tmp_path / "random.pth", "--out", tmp_path / "audit", "--score-thr", "0")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "audit/findings.json").read_text())
    known = {image["id"]: set(image["known_categories"]) for image in content["images"]}
    found = {image: {r["category_id"] for r in rows if r["image_id"] == image} for image in known}
    assert all(found[image] and found[image] <= known[image] for image in known)
    assert not (tmp_path / "audit/lock.json").exists()
