"""What the audit finds in boxes and tags of which it is known what is wrong."""

import numpy as np
import pytest

from asl_mmdet.audit.findings import Boxes, Limits, find_in_boxes, find_in_tags


def find(detections, annotations, ignored=None, **limits):
    """Of rows (x1, y1, x2, y2, label, score) and (x1, y1, x2, y2, label)."""
    d = np.array(detections, float).reshape(-1, 6)
    a = np.array(annotations, float).reshape(-1, 5)
    found = Boxes(d[:, :4], d[:, 4].astype(int), d[:, 5])
    given = Boxes(a[:, :4], a[:, 4].astype(int), ids=np.arange(len(a)) + 10)
    return find_in_boxes(found, given, Limits(**limits), ignored)


def test_confident_detection_apart_from_annotations_is_missing():
    (finding,) = find([(0, 0, 10, 10, 1, 0.9), (50, 50, 60, 60, 2, 0.7)], [(0, 0, 10, 10, 1)])
    assert (finding.kind, finding.label, finding.score, finding.box) == ("missing", 2, 0.7, (50, 50, 60, 60))


def test_object_found_as_two_classes_is_one_with_an_alternative():
    box = (0, 0, 10, 10)
    findings = find([(*box, 3, 0.4), (*box, 1, 0.6), (1, 0, 11, 10, 1, 0.5)], [])
    assert [(f.label, f.score, f.alternative) for f in findings] == [(1, 0.6, 0), (3, 0.4, 1)]
    assert {f.kind for f in findings} == {"missing"} and find([], []) == []


def test_overlap_with_an_annotation_lowers_the_score_of_a_missing_box():
    findings = find([(5, 0, 15, 10, 0, 0.9), (50, 0, 60, 10, 0, 0.9), (0, 0, 10, 10, 1, 0.9)], [(0, 0, 10, 10, 1)])
    assert sorted(f.score for f in findings) == pytest.approx([0.9 * 2 / 3, 0.9])


def test_other_class_that_scores_higher_is_a_wrong_class():
    box = (0, 0, 10, 10)
    (finding,) = find([(*box, 4, 0.8), (*box, 2, 0.3)], [(*box, 2)])
    assert (finding.kind, finding.label, finding.annotated_label, finding.annotation_id) == ("wrong_class", 4, 2, 10)
    assert finding.score == pytest.approx(0.5)
    assert find([(*box, 4, 0.3), (*box, 2, 0.8)], [(*box, 2)]) == []


def test_own_class_beside_an_annotation_is_badly_located_unless_it_is_there_too():
    beside, there = (0, 0, 10, 14, 2, 0.8), (0, 0, 10, 10, 2, 0.5)
    (finding,) = find([(0, 0, 10, 20, 2, 0.8)], [(0, 0, 10, 10, 2)])
    assert (finding.kind, finding.iou, finding.score) == ("badly_located", 0.5, pytest.approx(0.4))
    assert find([(0, 0, 10, 20, 2, 0.8), there], [(0, 0, 10, 10, 2)]) == []
    assert find([beside], [(0, 0, 10, 10, 2)]) == []


def test_annotation_that_is_not_found_is_spurious():
    (finding,) = find([(50, 50, 60, 60, 0, 0.01)], [(0, 0, 10, 10, 2)])
    assert (finding.kind, finding.score, finding.box, finding.label) == ("spurious", 1.0, (0, 0, 10, 10), 2)
    (finding,) = find([(0, 0, 10, 10, 2, 0.07)], [(0, 0, 10, 10, 2)])
    assert (finding.kind, finding.score) == ("spurious", pytest.approx(0.93))


def test_own_box_of_the_model_stands_beside_a_spurious_annotation():
    finding = find([(0, 0, 10, 25, 1, 0.3)], [(0, 0, 10, 10, 2)])[-1]
    assert (finding.kind, finding.label, finding.box) == ("spurious", 2, (0, 0, 10, 10))
    assert (finding.seen.box, finding.seen.label, finding.seen.score) == ((0, 0, 10, 25), 1, 0.3)
    apart = find([(9, 0, 19, 10, 1, 0.3)], [(0, 0, 10, 10, 2)])[-1]
    assert (apart.kind, apart.seen) == ("spurious", None)


def test_loose_box_of_an_annotation_is_no_missing_object_and_a_second_object_beside_it_is():
    annotation, loose, other = (0, 0, 10, 10, 2), (0, 0, 10, 22, 2, 0.8), (0, 6, 10, 16, 1, 0.7)
    assert [f.kind for f in find([loose], [annotation])] == ["badly_located"]
    beside, _ = find([other], [annotation])
    assert (beside.kind, beside.touched_id, beside.touched_is_found) == ("missing", 10, False)
    (beside,) = find([other, (0, 0, 10, 10, 2, 0.6)], [annotation])
    assert (beside.kind, beside.touched_id, beside.touched_is_found) == ("missing", 10, True)
    (apart,) = find([(50, 0, 60, 10, 1, 0.7), (0, 0, 10, 10, 2, 0.6)], [annotation])
    assert (apart.touched_id, apart.touched_is_found) == (None, None)


def test_detection_inside_of_an_ignored_region_is_not_looked_at():
    detection = [(0, 0, 10, 10, 0, 0.9)]
    assert find(detection, [], ignored=np.array([[0, 0, 100, 100.0]])) == []
    assert len(find(detection, [], ignored=np.array([[6, 0, 100, 100.0]]))) == 1


def test_tags_are_missing_spurious_or_unknown():
    findings = find_in_tags(np.array([0.9, 0.9, 0.01, 0.01, 0.9]), np.array([0, 1, 1, 0, -1]), Limits())
    assert [(f.kind, f.label, f.score) for f in findings] == [("missing", 0, 0.9), ("spurious", 2, 0.99)]


@pytest.mark.parametrize(
    "limits, message",
    [
        (dict(min_score=2), "min_score=2"),
        (dict(same_iou=0), "same_iou=0"),
        (dict(missing_iou=0.7), "missing_iou"),
    ],
)
def test_limits_out_of_range_are_refused(limits, message):
    with pytest.raises(ValueError, match=message):
        Limits(**limits)
