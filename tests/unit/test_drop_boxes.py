"""Dropping boxes: what each protocol leaves, the same from the same seed, and the tool."""

import json
import re
from collections import Counter
from copy import deepcopy

import annotated
import pytest
from commands import call

from asl_mmdet.coco.drop_boxes import PROTOCOLS, drop_boxes


@pytest.fixture
def coco():
    """200 images with 0 to 9 boxes of 3 classes; the last box of every image is a crowd."""
    boxes = [(7 * i, j % 3 + 1, (j, 0, 5, 5)) for i in range(200) for j in range(i % 10)]
    content = annotated.coco({k: str(k) for k in (1, 2, 3)}, {7 * i: f"{i}.jpg" for i in range(200)}, boxes)
    for entry in content["annotations"]:
        entry["iscrowd"] = int(entry["bbox"][0] == 8)
    return content


def numbers(coco, key="image_id"):
    return Counter(a[key] for a in coco["annotations"] if not a["iscrowd"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_kept_and_dropped_are_the_file_and_the_seed_decides(coco, protocol):
    before = deepcopy(coco)
    result = drop_boxes(coco, protocol, 0.4, seed=3)
    assert coco == before
    dropped = result["dropped"]
    assert dropped["annotations"]
    assert (dropped["protocol"], dropped["seed"]) == (protocol, 3)
    both = sorted(result["annotations"] + dropped["annotations"], key=lambda a: a["id"])
    assert both == coco["annotations"]
    assert result["annotations"] == [a for a in coco["annotations"] if a in result["annotations"]]  # their order
    if not protocol.startswith("half"):
        assert all(not a["iscrowd"] for a in dropped["annotations"])
        assert result["images"] == coco["images"]
    assert result["categories"] == coco["categories"]
    assert result == drop_boxes(coco, protocol, 0.4, seed=3)
    assert result["annotations"] != drop_boxes(coco, protocol, 0.4, seed=4)["annotations"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_order_of_the_file_does_not_matter(coco, protocol):
    turned = {**coco, "images": coco["images"][::-1], "annotations": coco["annotations"][::-1]}
    ours, theirs = (
        {a["id"] for a in drop_boxes(content, protocol)["dropped"]["annotations"]} for content in (coco, turned)
    )
    assert ours == theirs


def test_uniform_drops_the_rate_and_more_with_a_larger_one(coco):
    total = sum(numbers(coco).values())
    sets = []
    for rate in (0.0, 0.3, 0.5, 1.0):
        dropped = drop_boxes(coco, "uniform", rate)["dropped"]["annotations"]
        assert len(dropped) == pytest.approx(rate * total, abs=0.06 * total)
        sets.append({a["id"] for a in dropped})
    assert sets[0] < sets[1] < sets[2] < sets[3]
    assert len(sets[3]) == total


def test_each_protocol_leaves_what_its_paper_says(coco):
    before = numbers(coco)
    after = {protocol: numbers(drop_boxes(coco, protocol)) for protocol in PROTOCOLS}
    for image, number in before.items():
        assert after["easy"][image] == max(1, number - 1)
        assert after["hard"][image] == number - number // 2
        assert after["extreme"][image] == 1
        assert after["keep1"][image] == min(3, number)
    classes = {(a["image_id"], a["category_id"]) for a in coco["annotations"] if not a["iscrowd"]}
    kept = [(a["image_id"], a["category_id"]) for a in drop_boxes(coco, "keep1")["annotations"] if not a["iscrowd"]]
    assert sorted(kept) == sorted(classes)


def test_which_box_goes_is_random(coco):
    """Not the first, nor the last: over 160 images with more than one box, every place of 8 is hit."""
    places = Counter()
    for a in drop_boxes(coco, "easy")["dropped"]["annotations"]:
        places[a["bbox"][0]] += 1
    assert set(places) == set(range(8))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(protocol="half"), "protocol='half': use one of uniform, easy"),
        (dict(rate=1.5), r"rate=1.5: use a number in \[0, 1\]"),
        (dict(seed=-1), "seed=-1: use a whole number from 0"),
    ],
)
def test_wrong_arguments_are_refused(coco, arguments, message):
    with pytest.raises(ValueError, match=message):
        drop_boxes(coco, **arguments)


@pytest.mark.parametrize("value", ["3", 2.5, None, True, [1]])
@pytest.mark.parametrize("key", ["image_id", "category_id", "id"])
def test_what_would_be_dropped_by_no_rule_is_refused(key, value, coco, tmp_path):
    coco["categories" if key == "id" else "annotations"][0][key] = value
    (tmp_path / "train.json").write_text(json.dumps(coco))
    done = call("drop_boxes", tmp_path / "train.json", "--out", tmp_path / "half.json")
    assert done.returncode == 1 and not (tmp_path / "half.json").exists()
    assert re.search(rf"\[0\]\.{key}=.* is no whole number. python tools/fix_annotations.py .*train.json", done.stderr)


def test_tool_writes_the_file_once_and_says_what_is_left(coco, tmp_path):
    (tmp_path / "train.json").write_text(json.dumps(coco))
    arguments = [tmp_path / "train.json", "--out", tmp_path / "new" / "half.json", "--protocol", "hard", "--seed", "2"]
    first = call("drop_boxes", *arguments)
    assert first.returncode == 0, first.stderr
    written = json.loads((tmp_path / "new" / "half.json").read_text())
    assert written == json.loads(json.dumps(drop_boxes(coco, "hard", seed=2)))
    left, all_ = len(written["annotations"]), len(coco["annotations"])
    assert f"{left} of {all_} boxes are left" in first.stdout
    second = call("drop_boxes", *arguments)
    assert second.returncode == 1 and "exists" in second.stderr
    assert call("drop_boxes", *arguments, "--force").returncode == 0
