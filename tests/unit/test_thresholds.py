"""Thresholds and calibration on scores whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from asl_mmdet.thresholds import ThresholdFile
from asl_mmdet.thresholds.calibration import (
    Calibration,
    Isotonic,
    Platt,
    calibration_error,
    fit_isotonic,
    fit_platt,
    laece,
    logit,
    sigmoid,
)
from asl_mmdet.thresholds.calibration import fit as fit_calibration
from asl_mmdet.thresholds.choose import Objective, Settings, choose, counts, cross_fit, f_score
from asl_mmdet.thresholds.matching import MatchedPredictions, match_boxes, match_detections
from asl_mmdet.thresholds.model import lower_score_thr


def scored(label, score, is_tp, missed=(), num_images=None, image=None):
    """Scores of as many images; ``missed`` are the classes of objects that no score found."""
    label, score, is_tp = np.asarray(label), np.asarray(score, float), np.asarray(is_tp, bool)
    image = np.arange(len(label)) if image is None else image
    truth = np.concatenate([label[is_tp], np.asarray(missed, int)])
    truth_image = np.concatenate([image[is_tp], np.zeros(len(missed), int)])
    classes = tuple("abcdefgh"[: int(max([*label, *missed])) + 1])
    iou = is_tp * 0.8
    return MatchedPredictions(
        classes, num_images or len(label), image, label, score, is_tp, iou, iou, truth_image, truth
    )


def drawn(number, seed, slope=1.0, offset=0.0, num_classes=1):
    """Scores whose chance to be right is sigmoid(slope * logit(score) + offset)."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.01, 0.99, number)
    is_tp = rng.uniform(size=number) < sigmoid(slope * logit(score) + offset)
    return scored(rng.integers(num_classes, size=number), score, is_tp)


def test_best_f1_is_found_between_two_scores():
    one = scored([0] * 5, [0.9, 0.8, 0.6, 0.4, 0.2], [1, 1, 1, 0, 0], missed=[0])
    found = choose(one, Objective(), shrinkage=0)
    assert found.of_class == pytest.approx([0.5])
    assert counts(one, found.of_class).ravel().tolist() == [3, 3, 4]
    assert f_score(*counts(one, found.of_class)) == pytest.approx([6 / 7])


@pytest.mark.parametrize(
    "objective, threshold",
    [(Objective("precision", 0.75), 0.25), (Objective("recall", 0.5), 0.75), (Objective("f", 0.1), 0.75)],
)
def test_wanted_precision_has_most_recall_and_wanted_recall_the_highest_threshold(objective, threshold):
    one = scored([0] * 5, [0.9, 0.8, 0.7, 0.3, 0.2], [1, 1, 0, 1, 0], missed=[0])
    assert choose(one, objective, shrinkage=0).of_class == pytest.approx([threshold])


def test_thresholds_equal_those_of_an_exhaustive_search():
    many = drawn(300, 0, num_classes=3)
    found = choose(many, Objective("f", 2.0), shrinkage=0)
    for label in range(3):
        part = many.of_class(label)
        best = max(f_score(*counts(part, thr)[:, label], 2.0) for thr in part.score)
        assert f_score(*counts(part, found.of_class)[:, label], 2.0) == pytest.approx(best)


def test_small_classes_shrink_towards_the_global_threshold_on_the_logit_scale():
    label = [0] * 30 + [1] * 2 + [2]
    many = scored(label, [0.6] * 30 + [0.2, 0.1, 0.3], [1] * 30 + [1, 0, 0])
    found = choose(many, Objective(), shrinkage=9)
    assert found.of_class[2] == found.overall  # no object
    weight = 1 / (1 + 9)
    expected = weight * logit(np.array(0.15)) + (1 - weight) * logit(np.array(found.overall))
    assert logit(found.of_class[1]) == pytest.approx(expected)
    assert (choose(many, Objective(), per_class=False).of_class == found.overall).all()


def test_what_cannot_be_reached_or_was_never_right_is_an_error():
    one = scored([0] * 4, [0.9, 0.8, 0.6, 0.4], [0, 1, 0, 0], missed=[0] * 3)
    with pytest.raises(ValueError, match=r"precision 0.9.* 0.500"):
        choose(one, Objective("precision", 0.9))
    with pytest.raises(ValueError, match=r"recall 0.9.* 0.250"):
        choose(one, Objective("recall", 0.9))
    with pytest.raises(ValueError, match=" 1 scores"):
        choose(scored([0], [0.9], [0], missed=[0]), Objective())
    with pytest.raises(ValueError, match=r"precision=1.5"):
        Objective("precision", 1.5)


@pytest.mark.parametrize("informative, share_of_naive", [(True, 0.25), (False, 1 / 3)])
def test_cross_fitted_figures_are_near_those_of_new_data_and_the_naive_ones_are_not(informative, share_of_naive):
    """Small classes, where a threshold follows chance. Scores that mean nothing are the worst case of both figures."""
    objective = Objective("f", 0.5)

    def draw(rng, number):
        score = rng.uniform(size=number)
        chance = sigmoid(logit(score) - 1) if informative else 0.3
        return scored(rng.integers(4, size=number), score, rng.uniform(size=number) < chance)

    naive, crossed = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        small, fresh = draw(rng, 80), draw(rng, 8000)
        found = choose(small, objective, shrinkage=0)
        new = f_score(*counts(fresh, found.of_class), 0.5).mean()
        naive.append(f_score(*counts(small, found.of_class), 0.5).mean() - new)
        folds = cross_fit(small, Settings(objective, shrinkage=0, folds=5))
        crossed.append(f_score(*folds.counts, 0.5).mean() - new)
    assert np.mean(naive) > 0.1
    assert abs(np.mean(crossed)) < share_of_naive * np.mean(naive)


def test_an_image_is_in_one_fold_as_a_whole():
    image = np.repeat(np.arange(10), 4)
    label = np.zeros(40, int)
    many = scored(label, np.linspace(0.01, 0.99, 40), np.arange(40) % 2, image=image, num_images=10)
    crossed = cross_fit(many, Settings(folds=5))
    assert crossed.counts[2].tolist() == [20]
    assert (crossed.score == many.score).all()
    with pytest.raises(ValueError, match=r"folds=11.* 10 "):
        cross_fit(many, Settings(folds=11))


@pytest.mark.parametrize("method", [None, "platt"])
def test_a_fold_without_the_only_right_scores_keeps_nothing_and_is_counted(method):
    image, score = np.repeat(np.arange(10), 4), np.linspace(0.01, 0.99, 40)
    is_tp = image == 9
    few = scored(np.zeros(40, int), score, is_tp, image=image, num_images=10)
    crossed = cross_fit(few, Settings(folds=5, calibration=method))
    assert crossed.empty_folds == 1 and crossed.counts[2].tolist() == [is_tp.sum()]
    assert not crossed.is_kept[image == 9].any() and crossed.is_kept.any() and crossed.counts[0].tolist() == [0]
    assert (crossed.score[image == 9] == score[image == 9]).all()
    many = scored(np.zeros(40, int), score, score > 0.5, image=image, num_images=10)
    assert cross_fit(many, Settings()).empty_folds == 0
    none = scored(np.zeros(40, int), score, np.zeros(40, bool), image=image, num_images=10)
    with pytest.raises(ValueError, match="scores is right"):
        cross_fit(none, Settings(folds=5))


def test_platt_recovers_the_sigmoid_that_scores_were_drawn_by():
    many = drawn(40_000, 1, slope=1.7, offset=-0.8)
    found = fit_platt(many.score, many.is_tp)
    assert (found.slope, found.offset) == pytest.approx((1.7, -0.8), abs=0.06)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibration_brings_scores_to_their_frequency_on_new_data(method):
    train, new = (drawn(20_000, seed, slope=0.6, offset=-1.2, num_classes=2) for seed in (1, 2))
    after = fit_calibration(train, method, per_class=True)(new.score, new.label)
    assert calibration_error(new.score, new.is_tp) > 0.15
    assert calibration_error(after, new.is_tp) < 0.03


@pytest.mark.parametrize("fit_map", [fit_platt, fit_isotonic])
def test_maps_rise_strictly_and_where_they_cannot_there_is_none(fit_map):
    many = drawn(2000, 3)
    score = np.linspace(0, 1, 5001)
    assert (np.diff(fit_map(many.score, many.is_tp)(score)[1:-1]) > 0).all()
    assert fit_map(many.score, np.ones(2000, bool)) is None
    assert fit_platt(many.score, ~many.is_tp) is None


def test_classes_with_few_right_scores_share_the_pooled_map():
    many = drawn(400, 4, num_classes=2)
    few = replace(many, is_tp=many.is_tp & ((many.label == 0) | (np.arange(400) < 20)))
    found = fit_calibration(few, "platt", per_class=True)
    assert list(found.own) == [0]
    expected = [float(found.own[0](0.3)), float(found.pooled(0.3))]
    assert found(np.array([0.3, 0.3]), np.array([0, 1])) == pytest.approx(expected)


def test_laece_of_an_example_by_hand():
    # class 0, two bins: [0.1, 0.3] with IoU 0 and 0.8, mean 0.2 against 0.4; [0.9] with IoU 0.7. Class 1: [0.5] with 0.
    score, label, iou = np.array([0.1, 0.3, 0.9, 0.5]), np.array([0, 0, 0, 1]), np.array([0, 0.8, 0.7, 0])
    first = 2 / 3 * abs(0.2 - 0.4) + 1 / 3 * abs(0.9 - 0.7)
    assert laece(score, label, iou, bins=2) == pytest.approx((first + 0.5) / 2)
    assert calibration_error(score, iou > 0, bins=2) == pytest.approx(0.5 * abs(0.2 - 0.5) + 0.5 * abs(0.7 - 0.5))


class Set:
    def __init__(self, infos):
        self.infos, self.metainfo = infos, dict(classes=("a", "b"))

    def __len__(self):
        return len(self.infos)

    def get_data_info(self, index):
        return self.infos[index]


@pytest.fixture(scope="module")
def detections():
    """40 images with objects, crowds, and detections near and off them."""
    rng = np.random.default_rng(0)
    infos, predictions = [], []
    for i in range(40):
        corner = rng.uniform(0, 60, (rng.integers(0, 6), 2))
        boxes = np.concatenate([corner, corner + rng.uniform(10, 40, corner.shape)], 1)
        labels = rng.integers(2, size=len(boxes))
        crowd = rng.uniform(size=len(boxes)) < 0.2
        instances = [
            dict(bbox=b.tolist(), bbox_label=int(c), ignore_flag=int(k))
            for b, c, k in zip(boxes, labels, crowd, strict=True)
        ]
        infos.append(dict(img_id=3 * i + 1, instances=instances))
        near = np.repeat(boxes, 3, 0) + rng.normal(0, 4, (3 * len(boxes), 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        scores = rng.uniform(0.01, 1, len(near)).astype(np.float32)
        mixed = np.where(rng.uniform(size=len(near)) < 0.8, np.repeat(labels, 3), 1 - np.repeat(labels, 3))
        found = dict(bboxes=near, scores=scores, labels=mixed)
        predictions.append(dict(img_id=3 * i + 1, pred_instances=found))
    return Set(infos), predictions


def evaluate(dataset, predictions, change=lambda score, label: score):
    """pycocotools' evaluation at IoU 0.5."""
    images, annotations, results = [], [], []
    for info, record in zip(dataset.infos, predictions, strict=True):
        images.append(dict(id=info["img_id"], width=200, height=200))
        for one in info["instances"]:
            x1, y1, x2, y2 = one["bbox"]
            box = dict(bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1), iscrowd=one["ignore_flag"])
            where = dict(id=len(annotations) + 1, image_id=info["img_id"], category_id=one["bbox_label"])
            annotations.append(box | where)
        found = record["pred_instances"]
        values = change(found["scores"].astype(np.float64), found["labels"])
        for (x1, y1, x2, y2), score, label in zip(found["bboxes"], values, found["labels"], strict=True):
            where = dict(image_id=info["img_id"], category_id=int(label), score=float(score))
            results.append(where | dict(bbox=[x1, y1, x2 - x1, y2 - y1]))
    coco = COCO()
    coco.dataset = dict(images=images, annotations=annotations, categories=[dict(id=i, name="ab"[i]) for i in (0, 1)])
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
    evaluation.params.iouThrs = np.array([0.5])
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def test_classes_that_an_image_was_not_labelled_for_and_boxes_of_an_unknown_class_are_left_out():
    here, there, inside = [0, 0, 10, 10], [40, 0, 50, 10], [41, 0, 44, 10]
    instances = [dict(bbox=here, bbox_label=0), dict(bbox=there, bbox_label=2)]
    found = dict(
        bboxes=np.array([here, there, inside, here, there], float),
        scores=np.linspace(0.9, 0.5, 5),
        labels=np.array([0, 0, 0, 1, 1]),
    )
    predictions = [dict(img_id=1, pred_instances=found)]
    matched = match_detections(Set([dict(img_id=1, instances=instances, known_classes=(0,))]), predictions)
    assert matched.score.tolist() == [0.9, 0.7] and matched.is_tp.tolist() == [True, False]  # a small one in it counts
    assert matched.truths().tolist() == [1, 0]
    both = match_detections(Set([dict(img_id=1, instances=instances[1:])]), predictions)
    assert both.score.tolist() == [0.9, 0.7, 0.6] and not both.is_tp.any()
    part = Set([dict(img_id=1, instances=[dict(bbox=here, bbox_label=1)], known_classes=(0,))])
    assert match_detections(part, predictions).truths().tolist() == [0, 0]  # only some of these have a box


def test_matching_equals_pycocotools(detections):
    ours = match_detections(*detections)
    right = wrong = 0
    for one in evaluate(*detections).evalImgs:
        if one is not None and one["aRng"] == [0, 1e10]:
            counted = ~one["dtIgnore"][0]
            right += int((one["dtMatches"][0][counted] > 0).sum())
            wrong += int((one["dtMatches"][0][counted] == 0).sum())
    assert right > 50 and wrong > 50
    assert (ours.is_tp.sum(), (~ours.is_tp).sum()) == (right, wrong)
    assert (ours.iou[ours.is_tp] >= 0.5).all()


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibration_per_class_leaves_the_average_precision(detections, method):
    calibration = fit_calibration(match_detections(*detections), method, per_class=True)
    before, after = evaluate(*detections), evaluate(*detections, change=calibration)
    assert np.array_equal(before.eval["precision"], after.eval["precision"])
    assert before.eval["precision"].max() > 0


def test_ignored_region_takes_many_and_an_object_one():
    truth = np.array([[0, 0, 10, 10], [50, 0, 90, 40]], float)
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 0, 60, 10], [60, 0, 70, 10]], float)
    iou, counted = match_boxes(boxes, np.array([0.5, 0.9, 0.3, 0.2]), truth, np.array([False, True]), 0.5)
    assert iou == pytest.approx([0, 0.9, 0, 0])
    assert counted.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda p: p[1:], r"1 of them have none \(img_id \[1\]\)"),
        (lambda p: [{**p[0], "img_id": 2}, *p[1:]], r"1 of the predictions have another img_id \(\[2\]\)"),
        (lambda p: [{"img_id": 1}, *p[1:]], "has no pred_instances"),
        (lambda p: [{**p[0], "thresholds_applied": True}, *p[1:]], "thresholds were applied to these predictions"),
        (
            lambda p: [{**p[0], "pred_instances": dict(bboxes=np.ones((1, 4)), scores=[1.0], labels=[7])}, *p[1:]],
            "have the label 7, and the data set has 2 classes",
        ),
    ],
)
def test_predictions_of_something_else_are_refused(detections, change, message):
    dataset, predictions = detections
    with pytest.raises(ValueError, match=message):
        match_detections(dataset, change(predictions))


CALIBRATION = Calibration("isotonic", Isotonic((0.0, 0.5, 1.0), (0.1, 0.2, 0.9)), {1: Isotonic((0.0, 1.0), (0.0, 0.5))})


@pytest.mark.parametrize("calibration", [None, Calibration("platt", Platt(1.5, -0.2), {0: Platt(1, 0)}), CALIBRATION])
def test_file_comes_back_as_it_was_written(tmp_path, calibration):
    content = ThresholdFile("detection", ("a", "b"), np.array([0.25, 0.1]), calibration, 0.01, dict(folds=5))
    content.write(tmp_path / "thresholds.json")
    back = ThresholdFile.read(tmp_path / "thresholds.json")
    assert (back.classes, back.calibration, back.score_thr) == (("a", "b"), calibration, 0.01)
    assert back.thresholds.tolist() == [0.25, 0.1]
    assert back.made == dict(folds=5)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(format=9), "format=9: this version reads 1"),
        (dict(thresholds=dict(a=1.2, b=0.1)), r"thresholds\['a'\]=1.2"),
        (dict(thresholds=dict(a=0.2)), "'b'"),
        (dict(task="tracking"), "task='tracking'"),
        (dict(calibration=dict(method="beta", pooled={}, classes={})), "calibration.method='beta'"),
        (dict(calibration=dict(method="platt", pooled=dict(slope=-1, offset=0), classes={})), "pooled: slope=-1"),
        (dict(calibration=dict(method="isotonic", pooled=dict(x=[0, 1], y=[0.5, 0.5]), classes={})), "pooled: y "),
        (dict(thresholds=None), "thresholds.json"),
    ],
)
def test_wrong_file_is_refused_with_key_and_value(tmp_path, change, message):
    path = tmp_path / "thresholds.json"
    ThresholdFile("detection", ("a", "b"), np.array([0.25, 0.1])).write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        ThresholdFile.read(path)


def test_file_without_a_key_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match=r"x\.json.*'task'"):
        ThresholdFile.read(tmp_path / "x.json")
    with pytest.raises(ValueError, match=r"y.json"):
        ThresholdFile.read(tmp_path / "y.json")


def test_other_classes_are_named():
    content = ThresholdFile("detection", ("a", "b"), np.array([0.25, 0.1]))
    content.check_classes(["a", "b"], "the model")
    with pytest.raises(ValueError, match=r"'c'.*'b'"):
        content.check_classes(["a", "c"], "the model")
    with pytest.raises(ValueError, match="in another order"):
        content.check_classes(["b", "a"], "the model")


def test_score_thr_is_lowered_wherever_it_is_and_never_raised():
    two_stage = dict(rpn=dict(nms_pre=1000), rcnn=dict(score_thr=0.05, nms=dict(type="nms")))
    assert lower_score_thr(two_stage, 0.01)["rcnn"]["score_thr"] == 0.01
    assert two_stage["rcnn"]["score_thr"] == 0.05
    assert lower_score_thr(dict(score_thr=0.001), 0.01)["score_thr"] == 0.001
