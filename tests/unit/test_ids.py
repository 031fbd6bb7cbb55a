"""One rule what an id may be, in every reader of COCO-format files; and one reader of JSON."""

import json
import random
from copy import deepcopy

import annotated
import numpy as np
import pytest
from commands import call, message_of
from mmengine.config import Config

from asl_mmdet.audit.apply import apply_findings
from asl_mmdet.audit.findings import Boxes, Limits, find_in_boxes
from asl_mmdet.audit.labels import Labels
from asl_mmdet.coco.drop_boxes import PROTOCOLS, drop_boxes
from asl_mmdet.coco.format import is_id, parse_json
from asl_mmdet.coco.merge_datasets import merge
from asl_mmdet.deploy.folder import Ids
from asl_mmdet.tuning.parts import split_annotations

RANDOM = random.Random(3)
IMAGES = 20
GOOD = {
    "from 0": lambda i: i,
    "negative": lambda i: -i - 1,
    "as pandas writes them": float,
    "63 bits in part": lambda i: 2**63 + i if i % 2 else i,
    "128 bits": lambda i: RANDOM.getrandbits(127) << 1 | i & 1,
}
BAD = {
    "text": lambda i: f"x{i}",
    "digits": str,
    "fraction": lambda i: i + 0.5,
    "none": lambda i: i or None,
    "bool": bool,
}


def coco(image=lambda i: i + 1, annotation=lambda i: i + 1, category=lambda i: i + 1):
    """Three boxes of two classes in every image."""
    images, categories = [image(i) for i in range(IMAGES)], [category(i) for i in range(2)]
    return dict(
        images=[dict(id=n, file_name=f"{i}.jpg", width=64, height=64) for i, n in enumerate(images)],
        annotations=[
            annotated.annotation(annotation(k), images[k // 3], categories[k % 2], (k % 3 * 20, 4, 15, 15))
            for k in range(3 * IMAGES)
        ],
        categories=[dict(id=n, name=name) for n, name in zip(categories, ("cat", "dog"), strict=True)],
    )


@pytest.fixture(params=GOOD)
def good(request):
    return coco(*[GOOD[request.param]] * 3)


@pytest.mark.parametrize(
    "value, expected",
    [(0, True), (-3, True), (2**200, True), (1.0, True), (-0.0, True), (1e300, True)]
    + [(value, False) for value in (1.5, float("nan"), float("inf"), True, False, None, "1", "", [1], {})],
)
def test_a_whole_number_is_an_id(value, expected):
    assert is_id(value) is expected


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_boxes_are_dropped_by_any_ids(protocol, good):
    before = deepcopy(good)
    result = drop_boxes(good, protocol, 0.5, seed=1)
    assert good == before
    kept, dropped = result["annotations"], result["dropped"]["annotations"]
    assert len(kept) + len(dropped) == 3 * IMAGES and 0 < len(dropped) < 3 * IMAGES
    assert result == drop_boxes(good, protocol, 0.5, seed=1)


def test_boxes_with_one_id_are_dropped_one_by_one():
    content = coco(annotation=lambda i: 7)
    assert len(drop_boxes(content, "extreme")["annotations"]) == IMAGES


def test_an_image_and_its_negative_draw_apart():
    draws = [
        [a["bbox"] for a in drop_boxes(coco(image=lambda i, sign=sign: sign * (i + 1)))["annotations"]]
        for sign in (1, -1)
    ]
    assert draws[0] != draws[1]


def test_files_are_merged_with_any_ids(good):
    other = coco()
    for image in other["images"]:
        image["file_name"] = "b/" + image["file_name"]
    merged = merge(dict(a=good, b=other))
    assert [entry["id"] for entry in merged["annotations"]] == list(range(1, 6 * IMAGES + 1))
    files = {image["id"]: image["file_name"] for image in merged["images"]}
    assert [files[a["image_id"]].removeprefix("b/") for a in merged["annotations"]] == 2 * [
        f"{k // 3}.jpg" for k in range(3 * IMAGES)
    ]


def test_images_are_split_by_any_ids(good):
    train, held_out = split_annotations(good, 0.25, seed=2)
    assert len(train["images"]) == 15 and len(held_out["annotations"]) == 3 * 5
    plain = split_annotations(coco(image=lambda i: i), 0.25, seed=2)[1]
    if [image["id"] for image in good["images"]] == list(range(IMAGES)):
        assert [image["file_name"] for image in held_out["images"]] == [image["file_name"] for image in plain["images"]]


def labels_of(content, folder):
    (folder / "train.json").write_text(json.dumps(content))
    return labels_in(folder)


def labels_in(folder):
    cfg = Config.fromfile("configs/shapes/atss_r18_asl_shapes.py")
    dataset = dict(data_root=f"{folder}/", ann_file="train.json", metainfo=dict(classes=("cat", "dog")))
    cfg.train_dataloader.dataset.update(dataset)
    return Labels(cfg)


def test_labels_are_audited_with_any_ids(good, tmp_path):
    labels = labels_of(good, tmp_path)
    image = list(labels.images.values())[1]
    given, _ = labels.boxes_of(image)
    nothing = Boxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    findings = find_in_boxes(nothing, given, Limits())
    assert [finding.annotation_id for finding in findings] == [a["id"] for a in good["annotations"][3:6]]
    row = dict(kind="missing", score=0.9, image_id=image.id, category_id=good["categories"][0]["id"], bbox=[1, 1, 5, 5])
    added = apply_findings(good, [row], 0.5)["annotations"]
    assert len({a["id"] for a in added}) == len(added) and added[-1]["id"] > 0 and type(added[-1]["id"]) is int


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("key", ["image", "annotation", "category"])
def test_other_ids_are_refused_with_the_way_out(key, name, tmp_path):
    content = coco(**{key: BAD[name]})
    path = tmp_path / "in.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"whole number.*fix_annotations"):
        labels_of(content, tmp_path)
    if key != "annotation":
        with pytest.raises(ValueError, match=r"needs a whole number as id.*fix_annotations"):
            merge(dict(a=coco(), b=content))
        content = coco()
        content["annotations"][0][f"{key}_id"] = BAD[name](0) if name == "none" else BAD[name](1)
        with pytest.raises(ValueError, match=rf"annotations\[0\]\.{key}_id=.* is no whole number.*fix_annotations"):
            merge(dict(a=coco(), b=content))
    if key != "category":
        message = message_of("drop_boxes", path, tmp_path / "half.json")
        assert "is no whole number" in message and f"tools/fix_annotations.py {path} OUT.json" in message


def test_a_category_with_several_ids_is_refused_by_the_audit_or_joined(tmp_path):
    content = coco()
    content["categories"].append(dict(id=9, name="cat"))
    with pytest.raises(ValueError, match=r"category 'cat' with the ids 1, 9.*fix_annotations\.py .*train.json"):
        labels_of(content, tmp_path)
    cfg = Config.fromfile("configs/shapes/classifier_r18_asl_shapes.py")
    cfg.train_dataloader.dataset.update(data_root=f"{tmp_path}/", ann_file="train.json")
    cfg.train_dataloader.dataset.metainfo = dict(classes=("dog", "cat"))
    content["annotations"][0]["category_id"] = 9
    (tmp_path / "train.json").write_text(json.dumps(content))
    labels = Labels(cfg)
    assert labels.names == {2: "dog", 1: "cat"} and labels.index == {2: 0, 1: 1, 9: 1}
    assert labels.tags_of(next(iter(labels.images.values()))).tolist() == [1, 1]


@pytest.mark.parametrize("key", ["image", "annotation", "category"])
def test_an_id_that_is_there_twice_is_refused_with_the_way_out(key, tmp_path):
    content, path = coco(**{key: lambda i: 7}), tmp_path / "in.json"
    path.write_text(json.dumps(content))
    way_out = r"fix_annotations\.py" if key == "annotation" else "Give each its own"
    with pytest.raises(ValueError, match=rf"\[1\]\.id=7 is there twice\. .*{way_out}"):
        labels_of(content, tmp_path)
    if key != "annotation":
        with pytest.raises(ValueError, match=r"\[1\]\.id=7 is there twice"):
            Ids(path, ["cat"])


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_a_list_that_is_there_twice_is_refused(key):
    text = json.dumps(coco())
    assert parse_json(text.encode()) == coco()
    assert parse_json(json.dumps(dict(coco(), dropped={key: []})).encode())[key]  # another list of this name
    for twice in (f'{text[:-1]}, "{key}": []}}', f'{{"{key}" : [], {text[1:]}'):
        with pytest.raises(ValueError, match=f"the list {key} twice"):
            parse_json(twice.encode())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_command_reads_json_in_every_encoding(encoding, tmp_path):
    content = coco()
    content["categories"][0]["name"] = "größe 猫"
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    for path in paths:
        path.write_bytes(json.dumps(content, ensure_ascii=False).replace(".jpg", f"{path.stem}.jpg").encode(encoding))
    assert call("drop_boxes", paths[0], tmp_path / "half.json").returncode == 0
    assert call("merge_datasets", *paths, tmp_path / "both.json").returncode == 0
    if encoding != "utf-8":
        (tmp_path / "train.json").write_bytes(paths[0].read_bytes())
        with pytest.raises(ValueError, match=r"train.json is in UTF-.*tools/fix_annotations.py"):
            labels_in(tmp_path)
        assert "the encoding: it was UTF" in call("fix_annotations", paths[0], tmp_path / "fixed.json").stdout
    assert len(Ids(paths[0], ("größe 猫",)).images) == IMAGES
    from asl_mmdet.multilabel import CocoMultiLabel

    data = CocoMultiLabel(str(paths[0]), pipeline=[])
    assert data.metainfo["classes"] == ("größe 猫", "dog") and len(data) == IMAGES
