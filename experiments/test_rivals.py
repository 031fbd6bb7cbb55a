"""The losses of experiments/rivals against the equations of their papers, an element at a time in Python's float64."""

import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from inputs import labels, logits
from mmengine.config import ConfigDict
from mmengine.hooks import EMAHook
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

import asl_mmdet  # noqa: F401  (before mmdet.models, which needs mmcv.ops)

pytest.importorskip("mmpretrain")

from mmdet.models.dense_heads import ATSSHead, GFLHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.utils import register_all_modules
from mmpretrain.structures import DataSample

from asl_mmdet.losses import AsymmetricLoss
from experiments.rivals import SPLC, Hill, LargeLoss, QualityTargets, ScheduledAsymmetricLoss
from experiments.rivals.classification import SampleAwareClsHead
from experiments.rivals.detection import FocalIoUATSSHead, focal_iou_weight
from experiments.rivals.teacher import TeacherBoxesHook

_spec = importlib.util.spec_from_file_location("conftest_of_tests", Path(__file__).parents[1] / "tests" / "conftest.py")
assert _spec and _spec.loader
_of_tests = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_of_tests)
_return_memory, _scope_of_file, _scope_of_test = (  # the fixtures of tests/ here too
    getattr(_of_tests, name) for name in ("_return_memory", "_scope_of_file", "_scope_of_test")
)

SHAPE = (6, 5)


@pytest.fixture(autouse=True, scope="module")
def _mmdet_scope():
    register_all_modules()


@pytest.fixture
def epoch():
    """Sets the running epoch, as a runner does."""
    hub = MessageHub.get_current_instance()
    yield lambda number: hub.update_info("epoch", number)
    hub.pop_info("epoch", None)


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def positive(z, margin, gamma):
    p = sigmoid(z - margin)
    return -((1 - p) ** gamma) * math.log(p)


def elementwise(function, z, y):
    rows = [[function(*pair) for pair in zip(*rows, strict=True)] for rows in zip(z.tolist(), y.tolist(), strict=True)]
    return torch.tensor(rows, dtype=torch.float64)


def hill(z, y):
    p = sigmoid(z)
    return positive(z, 1.0, 2) if y else (1.5 - p) * p**2


def splc(corrects):
    def loss(z, y):
        p = sigmoid(z)
        if y:
            return positive(z, 1.0, 2)
        return positive(z, 0.0, 2) if corrects and p > 0.6 else -(p**2) * math.log(1 - p)

    return loss


def large_loss(scheme, number):
    """The ``number`` negatives with the largest loss, by sorting."""

    def losses(z, y):
        bce = elementwise(lambda z, y: -math.log(sigmoid(z) if y else 1 - sigmoid(z)), z, y)
        negatives = [(bce[i, j].item(), i, j) for i in range(len(y)) for j in range(y.shape[1]) if not y[i, j]]
        for _, i, j in sorted(negatives, reverse=True)[:number]:
            bce[i, j] = 0.0 if scheme == "LL-R" else -math.log(sigmoid(z[i, j].item()))
        return bce

    return losses


CASES = [  # the loss, the epoch, the equation on a batch
    (Hill(), 0, lambda z, y: elementwise(hill, z, y)),
    (SPLC(), 0, lambda z, y: elementwise(splc(False), z, y)),
    (SPLC(), 1, lambda z, y: elementwise(splc(True), z, y)),
    (LargeLoss("LL-R", 10), 0, large_loss("LL-R", 0)),
    (LargeLoss("LL-R", 10), 2, large_loss("LL-R", 6)),  # 20 % of 30 elements
    (LargeLoss("LL-Ct", 10), 1, large_loss("LL-Ct", 3)),
    (LargeLoss("LL-R", 90), 5, large_loss("LL-R", 30)),  # more than there are
]
IDS = [f"{type(loss).__name__}{getattr(loss, 'scheme', '')}-{number}" for loss, number, _ in CASES]


@pytest.mark.parametrize("loss, number, equation", CASES, ids=IDS)
def test_loss_equals_its_equation(loss, number, equation, epoch):
    epoch(number)
    z, y = logits(*SHAPE, scale=2.0), labels("hard", SHAPE)
    expected = equation(z, y)
    assert torch.allclose(loss(z, y, reduction_override="none"), expected, atol=1e-12)
    assert loss(z, y, avg_factor=6).item() == pytest.approx(expected.sum().item() / 6)
    assert loss(z, y).item() == pytest.approx(expected.mean().item())
    half = torch.full_like(z, 0.5)
    assert loss(z, y, half, reduction_override="sum").item() == pytest.approx(expected.sum().item() / 2)


@pytest.mark.parametrize("loss, number, equation", CASES, ids=IDS)
def test_gradient_is_that_of_the_loss(loss, number, equation, epoch):
    epoch(number)
    z, y = logits(*SHAPE, scale=2.0).requires_grad_(), labels("hard", SHAPE)
    assert torch.autograd.gradcheck(lambda z: loss(z, y, reduction_override="sum"), (z,))


@pytest.mark.parametrize("loss", [Hill(), SPLC(), LargeLoss("LL-R", 10), LargeLoss("LL-Ct", 10)], ids=str)
def test_extreme_logits_and_half_precision_stay_finite(loss, epoch):
    epoch(1)
    z = torch.tensor([[-1e4, -100.0, 0.0, 100.0, 1e4]] * 2).requires_grad_()
    y = torch.tensor([[0.0] * 5, [1.0] * 5])
    loss(z, y).backward()
    assert z.grad.isfinite().all()
    assert loss(z.detach().half(), y).isfinite()


def test_permanent_correction_is_remembered_also_in_a_checkpoint(epoch):
    loss, other = LargeLoss("LL-Cp", 10), LargeLoss("LL-Cp", 10)
    y = torch.zeros(2, 5, dtype=torch.float64)
    low, high = torch.full((2, 5), -5.0, dtype=torch.float64), torch.full((2, 5), -5.0, dtype=torch.float64)
    high[0, 3] = 4.0

    def of(module, z, samples):
        return module(z, y, samples=samples, reduction_override="none")

    epoch(0)
    assert of(loss, high, [7, 8])[0, 3] == pytest.approx(-math.log(1 - sigmoid(4)))  # nothing yet
    epoch(1)
    assert of(loss, high, [7, 8])[0, 3] == pytest.approx(-math.log(sigmoid(4)))
    assert {k: v.shape for k, v in loss.state_dict().items()} == {k: v.shape for k, v in other.state_dict().items()}
    other.load_state_dict(loss.state_dict())
    epoch(0)  # corrects nothing more
    for module in (loss, other):
        assert of(module, low, [8, 7])[1, 3] == pytest.approx(-math.log(sigmoid(-5)))  # the label of sample 7
        assert of(module, low, [9, 8])[0, 3] == pytest.approx(-math.log(1 - sigmoid(-5)))


def test_permanent_correction_says_where_there_is_no_room(epoch):
    epoch(1)
    with pytest.raises(ValueError, match="corrects more than capacity=1 labels"):
        LargeLoss("LL-Cp", 50, capacity=1)(torch.zeros(2, 5), torch.zeros(2, 5), samples=[0, 1])


def test_permanent_correction_needs_the_samples_which_the_head_gives(epoch):
    epoch(1)
    with pytest.raises(ValueError, match="0 samples for 2 rows: use the head type='SampleAwareClsHead'"):
        LargeLoss("LL-Cp")(torch.zeros(2, 5), torch.zeros(2, 5))
    head = SampleAwareClsHead(num_classes=5, in_channels=4, loss=dict(type="LargeLoss", scheme="LL-Cp", delta_rel=50))
    samples = [DataSample(metainfo=dict(sample_idx=i)).set_gt_score(torch.zeros(5)) for i in (40, 2)]
    head.loss((torch.randn(2, 4),), samples)
    corrected = head.loss_module.corrected
    assert set((corrected[corrected >= 0] // 5).tolist()) <= {40, 2}
    assert (corrected >= 0).sum() == 5
    plain = SampleAwareClsHead(num_classes=5, in_channels=4, loss=dict(type="Hill"))
    assert plain.loss((torch.randn(2, 4),), samples)["loss"].isfinite()


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: LargeLoss("LL"), "scheme='LL': use one of LL-R, LL-Ct, LL-Cp"),
        (lambda: LargeLoss("LL-R", 0), r"delta_rel=0: use percent in \(0, 100\]"),
        (lambda: Hill(reduction="total"), "Hill got reduction='total'"),
        (lambda: ScheduledAsymmetricLoss(True, start_epoch=-1), "start_epoch=-1: use a whole number from 0"),
        (lambda: ScheduledAsymmetricLoss(True, rate=0), r"rate=0: use percent in \(0, 100\]"),
    ],
)
def test_wrong_arguments_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_ignore_above_starts_later_and_then_equals_the_plain_loss(epoch):
    z, target = logits(8, 3), torch.tensor([0, 3, 3, 3, 1, 3, 3, 2])
    scheduled = ScheduledAsymmetricLoss(True, ignore_above=0.3, start_epoch=2)
    for number, expected in ((1, AsymmetricLoss(True)), (2, AsymmetricLoss(True, ignore_above=0.3))):
        epoch(number)
        assert scheduled(z, target).item() == expected(z, target).item()
    assert scheduled.ignore_above == 0.3


def test_rate_ignores_that_share_of_the_background_with_the_highest_scores(epoch):
    z, target = logits(21, 3), torch.full((21,), 3)
    target[0] = 1  # 20 rows are background
    loss = ScheduledAsymmetricLoss(True, ignore_above=0.01, rate=10)
    for number, ignored in ((0, 2), (1, 4), (20, 20)):
        epoch(number)
        rows = loss(z, target, reduction_override="none")[1:]
        score, is_ignored = z[1:].sigmoid(), (rows == 0).any(1)
        assert is_ignored.sum() == min(ignored, (score.amax(1) > 0.01).sum())
        if ignored < 20:
            assert score[is_ignored].amax(1).min() > score[~is_ignored].max()
    loss.ignore_above = score.amax(1).topk(2).values.mean().item()  # which only one is above
    epoch(0)
    assert (loss(z, target, reduction_override="none")[1:] == 0).any(1).sum() == 1


def test_quality_targets_are_those_of_the_wrapped_loss():
    z, weight = logits(6, 4), torch.tensor([1.0, 1, 0, 1, 1, 1])
    labels_, iou = torch.tensor([0, 4, 4, 2, 4, 3]), torch.tensor([0.9, 0, 0, 0.3, 0, 0.0])
    dense = torch.zeros(6, 4, dtype=torch.float64)
    dense[0, 0], dense[3, 2] = 0.9, 0.3
    vfl = dict(type="VarifocalLoss", use_sigmoid=True)
    ours = QualityTargets(vfl, soft=True)(z, (labels_, iou), weight=weight, avg_factor=2.0)
    each = MODELS.build(vfl)(z, dense.to(iou.dtype).double(), weight[:, None].expand(6, 4), avg_factor=2.0)
    assert ours.item() == pytest.approx(each.item(), rel=1e-6)
    hard = QualityTargets(dict(type="AsymmetricLoss", use_sigmoid=True), soft=False)
    assert hard(z, (labels_, iou), weight=weight) == AsymmetricLoss(True)(z, labels_, weight)


def test_varifocal_loss_without_iou_weights_is_asl_where_labels_are_hard():
    z, target = logits(50, 4), labels("hard", (50, 4))
    varifocal = MODELS.build(dict(type="VarifocalLoss", use_sigmoid=True, alpha=0.75, gamma=2.0, iou_weighted=False))
    asl = AsymmetricLoss(True, gamma_pos=0, gamma_neg=2, alpha=1 / 1.75, loss_weight=1.75)
    assert torch.allclose(varifocal(z, target), asl(z, target), rtol=1e-12)


def head_of(kind, loss_cls, **options):
    torch.manual_seed(0)
    generator = dict(
        type="AnchorGenerator", ratios=[1.0], octave_base_scale=4, scales_per_octave=1, strides=[8, 16, 32]
    )
    train_cfg = ConfigDict(assigner=dict(type="ATSSAssigner", topk=9), allowed_border=-1, pos_weight=-1, debug=False)
    sizes = dict(num_classes=3, in_channels=8, stacked_convs=1, feat_channels=8, norm_cfg=dict(type="GN", num_groups=4))
    head = kind(
        **sizes,
        anchor_generator=generator,
        loss_cls=loss_cls,
        loss_bbox=dict(type="GIoULoss"),
        train_cfg=train_cfg,
        **options,
    )
    head.init_weights()
    features = tuple(logits(2, 8, size, size, seed=size, dtype=torch.float32) for size in (8, 4, 2))
    return head, features


def instances(boxes, classes):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return InstanceData(bboxes=boxes, labels=torch.tensor(classes, dtype=torch.long))


METAS = [dict(img_shape=(64, 64), pad_shape=(64, 64))] * 2
TRUTH = [instances([[5, 5, 40, 40], [30, 20, 60, 60]], [0, 2]), instances([], [])]


def losses_of(head, features):
    terms = head.loss_by_feat(*head(features), TRUTH, METAS)
    return {name: sum(term) if isinstance(term, list) else term for name, term in terms.items()}


def test_background_has_the_focal_iou_weight_and_other_losses_are_as_in_the_plain_head():
    focal = dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25)
    plain, features = head_of(ATSSHead, focal)
    same, _ = head_of(FocalIoUATSSHead, focal)
    expected = losses_of(plain, features)
    assert {k: v.item() for k, v in losses_of(same, features).items()} == {k: v.item() for k, v in expected.items()}
    # With k = 0 all background has the weight b: what is left of the loss is b of the background's.
    options = dict(type="FocalIoULoss", use_sigmoid=True, loss=focal)
    totals = []
    for bias in (0.0, 0.5, 1.0):
        head, _ = head_of(FocalIoUATSSHead, dict(options, bias=bias, scale=0.0))
        totals.append(losses_of(head, features)["loss_cls"].item())
    assert totals[2] == pytest.approx(expected["loss_cls"].item())
    assert 0 < totals[0] < totals[1] == pytest.approx((totals[0] + totals[2]) / 2)
    head, _ = head_of(FocalIoUATSSHead, options)  # boxes that overlap an object weigh more
    default = losses_of(head, features)["loss_cls"]
    assert totals[1] < default.item()
    default.backward()
    assert head.atss_reg.weight.grad.abs().sum() > 0  # not detached, as the authors have it
    head, _ = head_of(FocalIoUATSSHead, dict(options, detach=True))
    losses_of(head, features)["loss_cls"].backward()
    assert head.atss_reg.weight.grad is None


def test_focal_iou_weight_equals_its_equation():
    iou = torch.tensor([0.0, 0.2, 0.7, 1.0], dtype=torch.float64, requires_grad=True)
    found = focal_iou_weight(iou, 0.25, 2.0, 0.5, 3.0)
    expected = [0.5 + 3 * 0.5 * (-0.25 * u**2 * math.log(1.00001 - u)) for u in iou.tolist()]
    assert found.tolist() == pytest.approx(expected)
    assert torch.autograd.gradcheck(
        lambda u: focal_iou_weight(u, 0.25, 2.0, 0.5, 3.0), (iou[:3].detach().requires_grad_(),)
    )


@pytest.mark.parametrize(
    "loss_cls",
    [
        dict(type="QualityFocalLoss", use_sigmoid=True),
        dict(type="QualityTargets", use_sigmoid=True, soft=True, loss=dict(type="VarifocalLoss", use_sigmoid=True)),
        dict(type="QualityTargets", use_sigmoid=True, soft=False, loss=dict(type="AsymmetricLoss", use_sigmoid=True)),
        dict(type="QualityTargets", use_sigmoid=True, soft=False, loss=dict(type="FocalLoss", use_sigmoid=True)),
        dict(type="QualityTargets", use_sigmoid=True, soft=False, loss=dict(type="CrossEntropyLoss", use_sigmoid=True)),
    ],
    ids=lambda loss: loss.get("loss", loss)["type"],
)
def test_losses_train_in_the_head_of_generalized_focal_loss(loss_cls):
    head, features = head_of(GFLHead, loss_cls, reg_max=8)
    loss = losses_of(head, features)["loss_cls"]
    loss.backward()
    assert loss.item() > 0
    assert head.gfl_cls.weight.grad.abs().sum() > 0


class Teacher(torch.nn.Module):
    """Finds a labelled object, a missing one twice, and a doubtful one in the first image; nothing in the second."""

    def data_preprocessor(self, batch, training):
        assert not training
        samples = [sample.to("cpu") for sample in batch["data_samples"]]
        for sample in samples:
            sample.gt_instances.bboxes = sample.gt_instances.bboxes.tensor
        return dict(inputs=batch["inputs"], data_samples=samples)

    def predict(self, inputs, samples, rescale):
        assert not (rescale or self.training)
        boxes = [[0, 0, 10, 10], [20, 20, 30, 30], [20, 20, 30, 31], [40, 40, 50, 50]]
        found = instances(boxes, [0, 1, 2, 1])
        found.scores = torch.tensor([0.9, 0.5, 0.8, 0.39])
        samples[0].pred_instances, samples[1].pred_instances = found, found[:0]
        return samples


@pytest.mark.parametrize("teach", [False, True])
def test_a_teacher_adds_what_it_is_sure_of_and_no_label_covers(teach):
    def truth(boxes, classes):
        plain = instances(boxes, classes)
        return InstanceData(bboxes=HorizontalBoxes(plain.bboxes), labels=plain.labels)

    samples = [DetDataSample(), DetDataSample()]
    for sample, boxes in zip(samples, ([[1, 0, 10, 10]], []), strict=True):
        sample.gt_instances, sample.ignored_instances = truth(boxes, [0] * len(boxes)), truth([], [])
    batch = dict(inputs=[torch.zeros(3, 64, 64)] * 2, data_samples=samples)
    average = EMAHook()
    average.ema_model = SimpleNamespace(module=Teacher())
    hook = TeacherBoxesHook(score_thr=0.4, teach=teach)
    hook.before_train(SimpleNamespace(hooks=[average]))
    hook.before_train_iter(None, 0, batch)
    kept = [1, 0, 10, 10], [20, 20, 30, 31]
    labelled, ignored = samples[0].gt_instances, samples[0].ignored_instances
    assert labelled.bboxes.tensor.tolist() == [list(box) for box in kept[: 1 + teach]]
    assert labelled.labels.tolist() == [0, 2][: 1 + teach]
    assert ignored.bboxes.tensor.tolist() == ([] if teach else [kept[1]])
    assert len(samples[1].gt_instances) == len(samples[1].ignored_instances) == 0


def test_a_teacher_needs_an_average():
    with pytest.raises(ValueError, match="add dict\\(type='EMAHook'\\)"):
        TeacherBoxesHook().before_train(SimpleNamespace(hooks=[]))
