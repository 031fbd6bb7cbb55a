"""The audit of labels, on images where it is known what is wrong."""

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import NO_WORKERS, as_arguments, call, config_of, message_of, options_of, save_random
from mmengine.config import Config

from asl_mmdet.audit.apply import accepted, apply_findings, is_done
from asl_mmdet.audit.files import read_findings, row_of
from asl_mmdet.audit.findings import Detection, LabelFinding
from asl_mmdet.audit.folds import Folds, split
from asl_mmdet.audit.labels import Image, Labels
from asl_mmdet.audit.page import chosen_for_page, write_page
from asl_mmdet.audit.predict import PredictionFile
from asl_mmdet.coco.shapes import make_shapes

CONFIG = "configs/shapes/atss_r18_asl_shapes.py"


def row(score, kind="missing", **more):
    return dict(kind=kind, score=score, image_id=1, category_id=2, bbox=[1, 2, 30, 4], **more)


@pytest.mark.parametrize("as_ignore", [False, True])
def test_missing_boxes_above_the_score_are_added_and_marked(as_ignore):
    coco = dict(images=[dict(id=1)], annotations=[dict(id=7, image_id=1, category_id=2)], categories=[dict(id=2)])
    before = json.dumps(coco)
    rows = [row(0.9), row(0.8, alternative=1), row(0.7, "spurious"), row(0.4), row(0.5)]
    result = apply_findings(coco, rows, 0.5, as_ignore)
    assert json.dumps(coco) == before
    given, *added = result["annotations"]
    assert given == coco["annotations"][0] and [(a["id"], a["score"]) for a in added] == [(8, 0.9), (9, 0.5)]
    assert {(a["iscrowd"], a["area"], a["source"]) for a in added} == {(int(as_ignore), 120, "audit_labels")}
    assert result["audit_labels"] == [dict(min_score=0.5, as_ignore=as_ignore, added=2)]


def test_accepted_findings_change_annotations_and_others_do_not():
    given = [dict(id=i, image_id=1, category_id=2, bbox=[i, 0, 5, 5], area=25, segmentation=[[1]]) for i in range(1, 6)]
    coco = dict(images=[dict(id=1)], annotations=given, categories=[dict(id=2), dict(id=3)])
    kinds = ["wrong_class", "badly_located", "spurious", "spurious", "wrong_class"]
    decisions = ["accepted", "accepted", "accepted", "rejected", "open"]
    rows = [
        dict(row(0.5, kind, annotation_id=i, decision=decision), category_id=3)
        for i, (kind, decision) in enumerate(zip(kinds, decisions, strict=True), 1)
    ]
    rows += [row(0.9, decision="rejected"), row(0.9, decision="open"), row(0.9, "spurious", annotation_id=5)]
    result = apply_findings(coco, rows, 0)
    assert [a["id"] for a in result["annotations"]] == [1, 2, 4, 5]
    assert result["annotations"][0] == {**given[0], "category_id": 3, "source": "audit_labels", "score": 0.5}
    assert (result["annotations"][1]["bbox"], result["annotations"][1]["area"]) == ([1, 2, 30, 4], 120)
    assert result["annotations"][1]["segmentation"] == []
    assert result["annotations"][2:] == given[3:]
    assert result["audit_labels"] == [dict(min_score=0, as_ignore=False, added=0, reclassified=1, moved=1, removed=1)]
    assert [a["id"] for a in apply_findings(coco, rows, 0.6)["annotations"]] == [1, 2, 3, 4, 5]


def test_accepted_spurious_tag_is_removed():
    coco = dict(annotations=[dict(id=i, image_id=1, category_id=i) for i in (1, 2)])
    rows = [dict(kind="spurious", score=0.9, image_id=1, category_id=2, decision="accepted")]
    assert [a["id"] for a in apply_findings(coco, rows, 0)["annotations"]] == [1]


def test_findings_of_an_annotation_that_was_changed_since_are_done():
    box = dict(id=7, image_id=1, category_id=2, bbox=[0, 0, 5, 5])
    image = Image(1, "1.jpg", "1.jpg", (box,))
    labels = SimpleNamespace(images={1: image}, names={2: "cat", 3: "dog"})
    for kind in ("wrong_class", "badly_located", "spurious"):
        finding = row(0.5, kind, annotation_id=7, annotated_category="cat")
        assert not is_done(finding, labels)
        assert is_done({**finding, "annotated_category": "dog"}, labels)
        assert is_done({**finding, "annotation_id": 8}, labels)
    moved = row(0.5, "badly_located", annotation_id=7, annotated_category="cat") | dict(bbox=box["bbox"])
    assert is_done(moved, labels)


def test_page_shows_every_kind_in_its_turn():
    rows = [row(0.9), row(0.8), row(0.7), row(0.1, "spurious"), row(0.95, alternative=1)]
    chosen = [(r["kind"], r["score"]) for r in chosen_for_page(rows, 3)]
    assert chosen == [("missing", 0.9), ("spurious", 0.1), ("missing", 0.8)]


def test_page_leaves_the_images_out_that_would_make_it_too_large(tmp_path):
    labels = Labels(config_of(make_shapes(tmp_path / "shapes", num_train=3, num_val=1)))
    names = {image.id: image.file_name for image in labels.images.values()}
    rows = [row(1 - i / 10) | dict(image_id=i % 3 + 1, file_name=names[i % 3 + 1], category="a") for i in range(6)]
    assert write_page(rows, labels, tmp_path / "all.html", 5) == 5
    sizes = list(map(len, re.findall('<script type="text/plain"[^>]*>([^<]+)', (tmp_path / "all.html").read_text())))
    assert len(sizes) == 3
    assert write_page(rows, labels, tmp_path / "two.html", 6, max_bytes=sum(sizes[:2]) - 1) == 2
    assert json.dumps(rows[3]["score"]) in (tmp_path / "two.html").read_text()
    Path(labels.images[2].path).unlink()
    with pytest.raises(ValueError, match=r"cannot be read, and the page shows it\. --crops 0 leaves the page out"):
        write_page(rows, labels, tmp_path / "none.html", 6)


def test_predictions_go_on_after_an_incomplete_line_and_refuse_another_source(tmp_path):
    path = tmp_path / "predictions.jsonl"
    PredictionFile(path, dict(checkpoint="a")).append({1: dict(scores=[0.5]), 2: dict(scores=[0.25])})
    path.write_bytes(path.read_bytes()[:-4])
    file = PredictionFile(path, dict(checkpoint="a"))
    assert file.predictions == {1: dict(scores=[0.5])}
    file.append({2: dict(scores=[0.75])})
    assert PredictionFile(path, dict(checkpoint="a")).predictions == {1: dict(scores=[0.5]), 2: dict(scores=[0.75])}
    with pytest.raises(ValueError, match=r"predictions of something else: checkpoint: a there, b now\. Remove it"):
        PredictionFile(path, dict(checkpoint="b"))


def test_folds_have_equal_size_and_every_class_is_dealt_evenly():
    classes = {image: {0, image % 3} | ({9} if image in (5, 8, 50, 77) else set()) for image in range(100)} | {
        100: set()
    }
    parts = split(classes, 4)
    assert sorted(image for part in parts for image in part) == list(range(101))
    assert {len(part) for part in parts} == {25, 26}
    assert [sum(9 in classes[image] for image in part) for part in parts] == [1, 1, 1, 1]
    for label in (1, 2):
        numbers = [sum(label in classes[image] for image in part) for part in parts]
        assert max(numbers) - min(numbers) <= 2
    assert parts == split(dict(reversed(classes.items())), 4)
    assert parts != split(classes, 4, seed=1)


@pytest.mark.parametrize("folds", [1, 4, -2])
def test_number_of_folds_out_of_range_is_refused(folds):
    with pytest.raises(ValueError, match=f"folds={folds}: use a whole number from 2 to the number of images, 3"):
        split({1: set(), 2: set(), 3: set()}, folds)


@pytest.fixture(scope="module")
def tiny(mmdet_scope, tmp_path_factory):
    """A data set, options that name it, and a checkpoint of random weights."""
    folder = tmp_path_factory.mktemp("audit")
    data = make_shapes(folder / "shapes", num_train=6, num_val=1)
    checkpoint = save_random(config_of(data), folder / "random.pth")  # scores of 0.01: every annotation is doubtful
    return data, checkpoint, as_arguments(options_of(data, **NO_WORKERS))


def test_tool_audits_every_image_and_predicts_once(tiny, tmp_path):
    data, checkpoint, options = tiny
    options = [*options, "model.test_cfg.score_thr=0.0"]
    annotations = data / "annotations" / "train.json"
    coco = json.loads(annotations.read_text())
    done = call("audit_labels", CONFIG, checkpoint, "--out", tmp_path, "--score-thr", "0", *options)
    assert done.returncode == 0, done.stderr
    predicted = (tmp_path / "predictions.jsonl").read_text()
    assert len(predicted.splitlines()) == 1 + 6
    rows = json.loads((tmp_path / "findings.json").read_text())
    with (tmp_path / "findings.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert {r["annotation_id"] for r in rows if r["kind"] != "missing"} == {a["id"] for a in coco["annotations"]}
    page = (tmp_path / "index.html").read_text()
    assert page.count('<script type="text/plain" id="picture-') == 6
    again = call("audit_labels", CONFIG, checkpoint, "--out", tmp_path, "--crops", "0", *options)
    assert again.returncode == 0, again.stderr
    assert "objects without a box: " in again.stdout and "Use --validation" in again.stdout
    assert "Load checkpoint" not in again.stdout + again.stderr
    assert (tmp_path / "predictions.jsonl").read_text() == predicted


def test_validation_images_are_audited_and_evaluated_with_what_is_found(tiny, tmp_path):
    data, checkpoint, options = tiny
    options = [*options, "model.test_cfg.score_thr=0.0"]
    annotations, target = data / "annotations/val.json", tmp_path / "val_2.json"
    apply = ["--apply", "0", "--as-ignore", "--apply-to", target]
    arguments = ["--validation", "--out", tmp_path, "--score-thr", "0", "--crops", "0"]
    done = call("audit_labels", CONFIG, checkpoint, *arguments, *apply, *options)
    assert done.returncode == 0, done.stderr
    content, given = json.loads(target.read_text()), json.loads(annotations.read_text())
    assert content["images"] == given["images"] and len(content["annotations"]) > len(given["annotations"])
    assert "objects without a box: " in done.stdout and "Use --validation" not in done.stdout
    shown, of_thresholds = (line.split()[1:] for line in done.stdout.split(" ... ")[1:])
    assert f"test_evaluator.ann_file={target}" in shown
    shown = shown[: shown.index("to")]
    assert f"val_evaluator.ann_file={target}" in of_thresholds
    tested = call("test", CONFIG, checkpoint, "--work-dir", tmp_path / "test", *options, *shown)
    assert tested.returncode == 0, tested.stderr
    assert "coco/bbox_mAP" in tested.stdout + tested.stderr
    assert "leave --folds out" in message_of("audit_labels", CONFIG, "--folds", "2", "--validation", *options)


def test_fold_trains_on_the_other_images_and_is_tested_on_its_own(tiny, tmp_path):
    data, _, _ = tiny
    cfg = config_of(data)
    coco = json.loads((data / "annotations" / "train.json").read_text())
    folds = Folds(cfg, Labels(cfg), 3, tmp_path, tta=False)
    assert len(folds.parts) == 3
    for k, part in enumerate(folds.parts):
        fold = folds.config_of(k)
        train, test = fold.train_dataloader.dataset, fold.test_dataloader.dataset
        trained, tested = (json.loads(Path(dataset.ann_file).read_text(encoding="utf-8")) for dataset in (train, test))
        assert {image["id"] for image in tested["images"]} == set(part)
        assert {image["id"] for image in trained["images"]} == {image["id"] for image in coco["images"]} - set(part)
        assert {a["image_id"] for a in trained["annotations"]}.isdisjoint(part)
        assert len(trained["annotations"]) + len(tested["annotations"]) == len(coco["annotations"])
        assert fold.test_evaluator.ann_file == test.ann_file
        assert test.pipeline == cfg.test_dataloader.dataset.pipeline
        assert fold.val_dataloader is None
    assert cfg.train_dataloader.dataset.ann_file == "annotations/train.json"
    once = [i for i in range(24) if sum(i in labels for labels in folds.classes.values()) == 1]
    names = list(folds.labels.names.values())
    assert set(names) >= set(folds.classes_absent_from_training()) >= {names[i] for i in once}


def test_tool_audits_the_tags_of_a_classifier(tiny, tmp_path):
    data, *_ = tiny
    options = as_arguments(options_of(data, boxes=False, **NO_WORKERS))
    config = "configs/shapes/classifier_r18_bce_shapes.py"
    save_random(Config.fromfile(config), tmp_path / "random.pth")
    arguments = ["--out", tmp_path, "--score-thr", "0", "--apply", "0"]
    done = call("audit_labels", config, tmp_path / "random.pth", *arguments, *options)
    assert done.returncode == 0, done.stderr
    assert f"tools/train.py {config} --work-dir work_dirs/classifier_r18_bce_shapes_2" in done.stdout
    coco = json.loads((data / "annotations" / "train.json").read_text())
    tags = {(a["image_id"], a["category_id"]) for a in coco["annotations"]}
    rows = json.loads((tmp_path / "findings.json").read_text())
    missing = {(r["image_id"], r["category_id"]) for r in rows if r["kind"] == "missing"}
    assert not missing & tags and len(missing) == 6 * 24 - len(tags)  # all of them, as --score-thr 0 asks for
    added = json.loads((tmp_path / "annotations.json").read_text())["annotations"][len(coco["annotations"]) :]
    assert {(a["image_id"], a["category_id"]) for a in added} == missing
    message = message_of("audit_labels", config, tmp_path / "random.pth", "--apply", "0", "--as-ignore", *options)
    assert "has no region to ignore" in message


def test_tool_applies_reviewed_findings_and_spares_what_is_there(tiny, tmp_path):
    data, _, options = tiny
    annotations = data / "annotations" / "train.json"
    before = annotations.read_bytes()
    found = [dict(row(0.9), file_name="000001.jpg")]
    findings, target = tmp_path / "findings.json", tmp_path / "new.json"
    findings.write_text(json.dumps(found))
    arguments = [CONFIG, "--findings", findings, "--apply", "0.5", "--apply-to"]
    done = call("audit_labels", *arguments, target, "--as-ignore", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(target.read_text())["annotations"][-1]["iscrowd"] == 1
    assert f"{target}: 1 labels added, of 1 findings of missing ones" in done.stdout
    assert f"train_dataloader.dataset.ann_file={target}" in done.stdout and "nobody has reviewed" in done.stderr
    findings.write_text(json.dumps([dict(found[0], decision="rejected")]))
    none = call("audit_labels", *arguments, tmp_path / "r.json", *options)
    assert none.returncode == 0 and "none of its 1 findings is accepted, 1 are rejected" in none.stderr
    findings.write_text(json.dumps(found))
    high = call(
        "audit_labels", CONFIG, "--findings", findings, "--apply", "0.95", "--apply-to", tmp_path / "h.json", *options
    )
    assert high.returncode == 0 and "no finding reaches --apply 0.95; the highest has 0.90" in high.stderr
    assert "--force" in message_of("audit_labels", *arguments, target, *options)
    assert "itself" in message_of("audit_labels", *arguments, annotations, "--force", *options)
    findings.write_text(json.dumps([dict(found[0], file_name="other.jpg")]))
    other = message_of("audit_labels", *arguments, tmp_path / "none.json", *options)
    assert "'other.jpg'" in other and "of other images" in other
    assert not (tmp_path / "none.json").exists()
    assert annotations.read_bytes() == before


def test_findings_that_were_applied_are_not_added_again(tiny, tmp_path):
    data, _, options = tiny
    coco = json.loads((data / "annotations" / "train.json").read_text())
    drawn = next(a for a in coco["annotations"] if a["image_id"] == 1)
    found = dict(row(0.9), file_name="000001.jpg", category_id=drawn["category_id"])
    x, y, width, height = drawn["bbox"]
    rows = [
        dict(found, bbox=[0, 0, 3, 3]),
        dict(found, bbox=[4, 0, 3, 3]),
        dict(found, bbox=[x, y, width, 0.9 * height]),  # somebody drew it since the audit
    ]
    (tmp_path / "first.json").write_text(json.dumps(rows[:1]))
    (tmp_path / "all.json").write_text(json.dumps(rows))

    def apply(name, target, *more):
        arguments = ["--findings", tmp_path / name, "--apply", "0.5", "--apply-to", tmp_path / target]
        done = call("audit_labels", CONFIG, *arguments, *options, *more)
        assert done.returncode == 0, done.stderr
        return done, json.loads((tmp_path / target).read_text())

    _, once = apply("first.json", "once.json")
    again = f"train_dataloader.dataset.ann_file={tmp_path}/once.json"
    done, twice = apply("all.json", "twice.json", again)
    assert "2 findings are passed over" in done.stderr and "1 labels added" in done.stdout
    added = [a for a in twice["annotations"] if a.get("source") == "audit_labels"]
    assert [a["bbox"] for a in added] == [[0, 0, 3, 3], [4, 0, 3, 3]]
    assert len({a["id"] for a in twice["annotations"]}) == len(coco["annotations"]) + 2
    assert [record["added"] for record in twice["audit_labels"]] == [1, 1]
    assert once["annotations"] == twice["annotations"][:-1]


def test_tool_refuses_a_checkpoint_of_other_classes_and_an_annotation_without_a_box(tiny, tmp_path):
    import torch

    data, checkpoint, options = tiny
    out = tmp_path / "out"
    meta = dict(dataset_meta=dict(classes=("cat", "dog")))
    torch.save(dict(state_dict={}, meta=meta), tmp_path / "pets.pth")
    message = message_of("audit_labels", CONFIG, tmp_path / "pets.pth", "--out", out, *options)
    assert "is of the classes cat, dog" in message
    coco = json.loads((data / "annotations" / "train.json").read_text())
    del coco["annotations"][3]["bbox"]
    (tmp_path / "wrong.json").write_text(json.dumps(coco))
    wrong = f"train_dataloader.dataset.ann_file={tmp_path}/wrong.json"
    message = message_of("audit_labels", CONFIG, checkpoint, "--out", out, *options, wrong)
    assert "annotations[3].bbox=None must be [x, y, width, height]" in message
    assert not out.exists()


def labels_of_one_image():
    return SimpleNamespace(images={1: Image(1, "1.jpg", "1.jpg", ())}, names={2: "cat"}, path="train.json")


def test_findings_of_older_versions_are_read_by_their_old_names(tmp_path):
    rows = [row(0.9, kind, file_name="1.jpg") for kind in ("missing", "badly_placed", "doubted", "wrong_class")]
    (tmp_path / "findings.json").write_text(json.dumps(rows))
    read = read_findings(tmp_path / "findings.json", labels_of_one_image())
    assert [r["kind"] for r in read] == ["missing", "badly_located", "spurious", "wrong_class"]
    assert [r["kind"] for r in accepted(read)] == ["missing"]


@pytest.mark.parametrize(
    "content, message",
    [
        ({}, "no list of findings"),
        ([row(0.9, file_name="1.jpg") | dict(kind="lost")], "finding 0 has kind='lost'"),
        ([row(0.9, file_name="1.jpg", decision="yes")], "finding 0 has decision='yes'"),
    ],
)
def test_what_is_no_list_and_unknown_kinds_and_decisions_are_refused(content, message, tmp_path):
    (tmp_path / "findings.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_findings(tmp_path / "findings.json", labels_of_one_image())


def test_rows_say_what_a_missing_object_touches_and_what_the_model_sees():
    labels = SimpleNamespace(classes=["cat", "dog"], names={2: "cat", 3: "dog"}, index={2: 0, 3: 1})
    image = Image(1, "1.jpg", "1.jpg", ())
    missing = LabelFinding("missing", 0.5, 0, (0, 0, 1, 1), iou=0.2, touched_id=7, touched_is_found=False)
    assert row_of(missing, image, labels).items() >= dict(touched_id=7, touched_is_found=False).items()
    spurious = LabelFinding("spurious", 1, 0, (0, 0, 1, 1), 7, 0, seen=Detection((1, 1, 3, 4), 1, 0.3))
    seen = dict(seen_bbox=[1, 1, 2, 3], seen_category="dog", seen_score=0.3)
    assert row_of(spurious, image, labels).items() >= seen.items()
