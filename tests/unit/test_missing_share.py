"""The share of objects without a box, or of missing labels, by detectors and classifiers for which it is known."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from asl_mmdet.audit.findings import Boxes
from asl_mmdet.audit.missing_share import MissingShare, Places, join, missing_share, places_of
from asl_mmdet.audit.share_report import describe_missing_labels, describe_missing_share
from asl_mmdet.thresholds.matching import MatchedPredictions


def detector(seed, objects, rate, error):
    """Places by falling score: ``error`` gives the part that is no object by position, 1 where all objects are past."""
    rng = np.random.default_rng(seed)
    position = np.arange(int(1.3 * objects)) / objects
    is_object = rng.random(len(position)) >= np.clip(error(position), 0, 1)
    is_annotated = is_object & (rng.random(len(position)) >= rate)
    annotated = np.array([rng.binomial(objects, 1 - rate)])
    return Places(1 - position / 2, np.zeros(len(position), int), is_annotated, annotated)


DETECTORS = {
    "always right": lambda position: 0.0 * position,
    "right for most objects": lambda position: 2 * (position - 0.8),
    "worse from the first on": lambda position: 0.02 + 0.6 * position,
    "good for a few": lambda position: 0.02 + 1.2 * position,
}


@pytest.mark.parametrize("rate", [0, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("name", DETECTORS)
def test_share_is_found_within_7_points_for_detectors_of_every_kind(name, rate):
    found = [missing_share(detector(seed, 3000, rate, DETECTORS[name])) for seed in range(40)]
    off = np.array([one.share - rate for one in found])
    assert abs(off.mean()) < 0.04
    assert (abs(off) < 0.07).mean() > 0.85


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("objects", [200, 1000])
@pytest.mark.parametrize("name", ["always right", "right for most objects"])
def test_interval_covers_the_share(name, objects, rate):
    found = [missing_share(detector(seed, objects, rate, DETECTORS[name])) for seed in range(200)]
    assert np.mean([one.low <= rate <= one.high for one in found]) > 0.85
    assert all(one.low <= one.share <= one.high for one in found)


def test_interval_is_narrower_with_more_objects():
    small, large = (missing_share(detector(0, number, 0.5, DETECTORS["always right"])) for number in (100, 2000))
    assert large.high - large.low < 0.5 * (small.high - small.low)


def test_order_of_the_places_does_not_matter():
    places = detector(0, 500, 0.5, DETECTORS["worse from the first on"])
    order = np.random.default_rng(0).permutation(len(places.scores))
    shuffled = Places(places.scores[order], places.labels[order], places.is_annotated[order], places.annotated)
    assert missing_share(shuffled) == missing_share(places)


def test_doubt_is_said_where_the_detector_is_bad_or_there_is_little():
    good, bad = (missing_share(detector(0, 1000, 0.5, error)) for error in (lambda p: 0 * p, lambda p: 0.5 + 0.4 * p))
    assert not good.doubt and "doubtful" not in str(good)
    assert f"only {100 * bad.found:.0f} % of the annotations" in bad.doubt and bad.doubt in str(bad)
    assert good.found > 0.95 and bad.found < 0.5
    fair = missing_share(detector(0, 1000, 0.5, DETECTORS["worse from the first on"]))
    assert not fair.doubt and fair.found < 0.7
    assert "only" in missing_share(detector(0, 30, 0.5, DETECTORS["always right"])).doubt


@pytest.mark.parametrize("detections, annotated", [(0, 5), (5, 0)])
def test_without_detections_or_annotations_it_is_unknown(detections, annotated):
    places = Places(np.ones(detections), np.zeros(detections, int), np.ones(detections, bool), np.array([annotated]))
    found = missing_share(places)
    assert np.isnan(found.share) and found.places == 0 and str(found).startswith("unknown")


def box(x, width=10.0):
    return [x, 0.0, x + width, 10.0]


def places_in(found, given, ignored=None):
    """``found``: (x, score, label), ``given``: (x, label)."""
    detections = Boxes(
        np.array([box(x) for x, _, _ in found]).reshape(-1, 4),
        np.array([label for _, _, label in found], int),
        np.array([score for _, score, _ in found]),
    )
    annotations = Boxes(np.array([box(x) for x, _ in given]).reshape(-1, 4), np.array([k for _, k in given], int))
    return places_of(detections, annotations, 3, ignored)


def test_a_place_is_counted_once_whatever_classes_are_seen_there():
    places = places_in([(0, 0.5, 1), (1, 0.9, 2), (40, 0.3, 0)], [])
    assert places.scores.tolist() == [0.9, 0.3]
    assert places.labels.tolist() == [2, 0] and not places.is_annotated.any()


def test_an_annotation_of_any_class_counts_from_an_iou_of_one_half():
    third = 10 / 3  # shifted by it, boxes of width 10 have an IoU of 1/2
    places = places_in([(third - 0.01, 0.9, 1), (40 + third + 0.01, 0.8, 1)], [(0, 2), (40, 2)])
    assert places.is_annotated.tolist() == [True, False]
    assert places.annotated.tolist() == [0, 0, 2]


def test_a_second_detection_of_an_annotation_counts_neither_way():
    places = places_in([(-3, 0.9, 1), (3, 0.8, 1), (40, 0.7, 1)], [(0, 1)])  # -3 and 3 have an IoU of 1/4
    assert places.scores.tolist() == [0.9, 0.7] and places.is_annotated.tolist() == [True, False]


def test_two_annotations_at_one_place_are_two_objects():
    places = places_in([(-3, 0.9, 1), (3, 0.8, 1)], [(-1, 1), (1, 1)])
    assert places.is_annotated.tolist() == [True, True]


def test_what_lies_in_an_ignored_region_does_not_count():
    places = places_in([(0, 0.9, 1), (40, 0.8, 1)], [], np.array([[0.0, 0.0, 6.0, 10.0], [44.1, 0.0, 48.0, 10.0]]))
    assert places.scores.tolist() == [0.8]


def test_places_of_images_are_joined_and_cut_by_class():
    places = join([places_in([(0, 0.9, 1)], [(0, 2)]), places_in([(0, 0.8, 2), (30, 0.7, 1)], [(0, 2), (50, 1)])])
    assert places.is_annotated.tolist() == [True, True, False]
    own = places.of_class(1)
    assert own.scores.tolist() == [0.9, 0.7] and own.annotated.tolist() == [1]
    with pytest.raises(ValueError, match="no images"):
        join([])


class File:
    """Labels of images of 20 objects in a row; some of them have no box. The detector finds all."""

    def __init__(self, rates, complete=()):
        rng = np.random.default_rng(0)
        self.classes = ["cat", "dog"]
        records = [dict(id=i, complete=i in complete) for i in range(len(rates))]
        self.content = dict(images=records)
        self.images = {i: SimpleNamespace(id=i, known=None) for i in range(len(rates))}
        rows = np.array([box(20 * i) for i in range(20)])
        classes = np.arange(20) % 2
        self.kept = [rng.random(20) >= np.asarray(rate)[classes] for rate in rates]
        self.found = {i: Boxes(rows, classes, rng.random(20)) for i in range(len(rates))}
        self.rows, self.labels = rows, classes

    def boxes_of(self, image):
        kept = self.kept[image.id]
        return Boxes(self.rows[kept], self.labels[kept], ids=np.arange(kept.sum())), np.zeros((0, 4))


def shares(line):
    return [float(number) / 100 for number in re.findall(r"(\d+) % \[", line)]


def test_report_says_the_share_overall_and_per_class():
    file = File([(0.3, 0.7)] * 60)
    overall, classes = describe_missing_share(file.found, file)
    missing = 1 - np.mean(file.kept)
    assert shares(overall)[0] == pytest.approx(missing, abs=0.05)
    assert f"missing_rate={shares(overall)[0]:.2f}" in overall
    assert shares(classes) == pytest.approx([0.3, 0.7], abs=0.1) and re.search(r"cat \d+ %.*dog \d+ %", classes)


def test_images_known_to_be_complete_are_a_check_of_their_own():
    file = File([(0.5, 0.5)] * 40 + [(0.0, 0.0)] * 10, complete=range(40, 50))
    overall, *_, check = describe_missing_share(file.found, file)
    assert shares(overall)[0] == pytest.approx(0.5, abs=0.07)
    assert "10 images known to be complete" in check and shares(check) == [0.0]


def test_report_warns_of_images_that_were_trained_on_and_is_empty_without_images():
    file = File([(0.5, 0.5)] * 20)
    assert any("--validation" in line for line in describe_missing_share(file.found, file, were_trained=True))
    assert not any("--validation" in line for line in describe_missing_share(file.found, file))
    assert describe_missing_share({}, file) == []


def test_report_says_what_follows_where_boxes_are_missing():
    lines = describe_missing_share((file := File([(0.5, 0.5)] * 20)).found, file, consequence="so F1 is too low")
    assert lines[-1] == "so F1 is too low"
    lines = describe_missing_share((file := File([(0.0, 0.0)] * 20)).found, file, consequence="so F1 is too low")
    assert "so F1 is too low" not in lines
    assert describe_missing_share({}, file, consequence="so F1 is too low") == []


def test_an_estimate_is_written_in_a_few_words():
    assert str(MissingShare(0.5, 0.42, 0.58, 100, 0.4, 0.9, "")) == "50 % [42, 58]"
    assert str(MissingShare(0.5, 0.42, 0.58, 60, 0.4, 0.9, "so few")) == "50 % [42, 58], doubtful: so few"


def classifier(rates, only_labelled=False):
    """Scores of 3,000 images in two classes, which two of five images have; a share of the labels is missing."""
    rng = np.random.default_rng(0)
    has = rng.random((3000, 2)) < 0.4
    logits = rng.normal(np.where(has, 2.0, -2.0), 1.0)
    labelled = has & (rng.random(has.shape) >= rates)
    if only_labelled:
        kept = labelled.any(1)
        logits, labelled = logits[kept], labelled[kept]
    image, label = np.indices(labelled.shape).reshape(2, -1)
    is_tp = labelled.ravel()
    scores = 1 / (1 + np.exp(-logits.ravel()))
    truths = image[is_tp], label[is_tp]
    return MatchedPredictions(("cat", "dog"), len(labelled), image, label, scores, is_tp, None, None, *truths)


@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.3, 0.3), (0.5, 0.5), (0.7, 0.7), (0.3, 0.6)])
def test_share_of_missing_labels_is_found_overall_and_per_class(rates):
    overall, classes = describe_missing_labels(classifier(rates))
    assert overall.startswith("labels missing: ") and "doubtful" not in overall
    assert shares(overall)[0] == pytest.approx(np.mean(rates), abs=0.07)
    assert shares(classes) == pytest.approx(rates, abs=0.1) and re.search(r"cat \d+ %.*dog \d+ %", classes)


@pytest.mark.parametrize("number, is_told", [(10, True), (20, False)])
def test_nothing_is_said_where_many_labels_stand_for_several_boxes(number, is_told):
    boxes = [dict(image_id=i, category_id=7) for i in (*range(100), *range(number))]
    labels = SimpleNamespace(images={0: SimpleNamespace(annotations=boxes)})
    lines = describe_missing_labels(classifier((0.5, 0.5)), labels)
    assert ("labels missing: unknown: 20 % of the labels stand for several boxes" in lines[0]) != is_told
    assert (len(lines) > 1) == is_told


def test_report_says_that_images_without_a_label_may_have_been_left_out():
    for only_labelled in (True, False):
        lines = describe_missing_labels(classifier((0.5, 0.5), only_labelled))
        assert any("filter_empty_gt" in line for line in lines) == only_labelled
