"""Multi-label data sets, the ML-Decoder head, losses of partial labels and the table of metrics."""

import json
import math

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.registry import DATASETS, METRICS, MODELS
from mmpretrain.structures import DataSample
from mmpretrain.utils import register_all_modules
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

import asl_mmdet.multilabel
from asl_mmdet.multilabel import OFA595, CocoMultiLabel, MLDecoderClsHead, MultiLabelTable, NUSWide, PartialLabelLoss

ASL = dict(type="mmdet.AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=4.0, clip=0.05, alpha=None)


@pytest.fixture(autouse=True, scope="module")
def _mmpretrain_scope():
    register_all_modules()


# --- COCO ---


@pytest.fixture
def coco(tmp_path):
    """Three classes whose order in the file is not that of their ids; image 3 has a crowd only, image 4 nothing."""
    content = dict(
        images=[dict(id=i, file_name=f"{i}.jpg") for i in (1, 2, 3, 4)],
        categories=[dict(id=9, name="dog"), dict(id=2, name="person"), dict(id=5, name="car")],
        annotations=[
            dict(id=i, image_id=image, category_id=category, iscrowd=crowd, bbox=[0, 0, 1, 1])
            for i, (image, category, crowd) in enumerate([(1, 9, 0), (1, 2, 0), (1, 2, 0), (2, 5, 0), (3, 2, 1)])
        ],
    )

    def write(**changes):
        (tmp_path / "instances.json").write_text(json.dumps(content | changes))
        return str(tmp_path / "instances.json")

    return write


def labels_of(dataset):
    return {
        info["img_path"].rsplit("/")[-1]: info["gt_label"] for info in map(dataset.get_data_info, range(len(dataset)))
    }


def test_coco_labels_are_the_classes_of_the_objects_in_order_of_category_id(coco):
    dataset = CocoMultiLabel(coco(), data_prefix="images")
    assert dataset.metainfo["classes"] == ("person", "car", "dog")
    assert labels_of(dataset) == {"1.jpg": [0, 2], "2.jpg": [1], "3.jpg": [0]}
    assert dataset.get_data_info(0)["img_path"] == "images/1.jpg"
    assert dataset.get_cat_ids(0) == [0, 2]


def test_coco_crowds_and_images_without_labels_by_option(coco):
    assert labels_of(CocoMultiLabel(coco(), with_crowd=False)) == {"1.jpg": [0, 2], "2.jpg": [1]}
    everything = CocoMultiLabel(coco(), filter_cfg=dict(filter_empty_gt=False))
    assert labels_of(everything) == {"1.jpg": [0, 2], "2.jpg": [1], "3.jpg": [0], "4.jpg": []}


def test_coco_classes_of_metainfo_choose_and_order(coco):
    dataset = CocoMultiLabel(coco(), metainfo=dict(classes=("dog", "person")))
    assert labels_of(dataset) == {"1.jpg": [0, 1], "3.jpg": [1]}
    with pytest.raises(ValueError, match=r"metainfo.classes names \['cat'\].*it has \['person', 'car', 'dog'\]"):
        CocoMultiLabel(coco(), metainfo=dict(classes=("dog", "cat")))


def test_coco_broken_files_are_named(coco, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere.json.*cocodataset.org"):
        CocoMultiLabel(str(tmp_path / "nowhere.json"))
    path = coco()
    (tmp_path / "instances.json").write_text((tmp_path / "instances.json").read_text()[:200])
    with pytest.raises(ValueError, match=r"instances\.json cannot be read"):
        CocoMultiLabel(path)
    for changes in (dict(images=[dict(id=1)]), dict(annotations=[dict(id=1, image_id=1)]), dict(categories=None)):
        with pytest.raises(ValueError, match=r"instances.json.*COCO"):
            CocoMultiLabel(coco(**changes))
    with pytest.raises(ValueError, match=" 3 classes"):
        CocoMultiLabel(coco(annotations=[]))


def test_coco_annotations_of_unlisted_images_or_classes_are_reported(coco, logged):
    stray = [
        dict(id=i, image_id=image, category_id=category)
        for i, (image, category) in enumerate([(1, 2), (77, 2), (1, 3)])
    ]
    dataset = CocoMultiLabel(coco(annotations=stray))
    assert labels_of(dataset) == {"1.jpg": [0]}
    assert "2 annotations are of an image or a category that the file does not list" in logged[0][1]


# --- NUS-WIDE ---

NUS = """filepath,label,split_name
images/1.jpg,"['sky', 'animal']",train
images\\2.jpg,"['zebra']",val
images/3.jpg,[],train
images/4.jpg,"['sky'",train
images/5.jpg,"['clouds']"
images/6.jpg,"[""bird's nest""]",train
images/7.jpg,"{'sky': 1}",train
"""


def test_nus_wide_reads_its_split_and_reports_bad_rows_with_their_lines(tmp_path, logged):
    (tmp_path / "nus.csv").write_text(NUS, encoding="utf-8-sig")  # as spreadsheets write it
    train, val = (NUSWide("nus.csv", split, data_root=str(tmp_path)) for split in ("train", "val"))
    assert train.metainfo["classes"] == val.metainfo["classes"] == ("animal", "bird's nest", "sky", "zebra")
    assert labels_of(train) == {"1.jpg": [0, 2], "6.jpg": [1]}
    assert val.get_data_info(0) == dict(img_path=f"{tmp_path}/images/2.jpg", gt_label=[3], sample_idx=0)
    warned = logged[0][1]
    assert "3 rows cannot be read" in warned
    assert all(f"line {line}: " in warned for line in (5, 6, 8))


@pytest.mark.parametrize(
    "content, split, message",
    [
        ("", "train", "no column filepath, label, split_name"),
        ("filepath,labels,split_name\n", "train", "no column label: "),
        (NUS, "test", r"split='test'; it has \{'train': 3, 'val': 1\}"),
        ("filepath,label,split_name\na.jpg,sky,train\nb.jpg,[],train\nc.jpg,sea,train\n", "train", "2 rows cannot"),
    ],
)
def test_nus_wide_files_that_are_something_else_are_refused(content, split, message, tmp_path):
    (tmp_path / "nus.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        NUSWide("nus.csv", split, data_root=str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no file .*gone.csv.*MODEL_ZOO"):
        NUSWide("gone.csv", split, data_root=str(tmp_path))


# --- the table ---


def evaluate(pred, target, **options):
    evaluator = Evaluator(METRICS.build(dict(type="MultiLabelTable", **options)))
    samples = [DataSample().set_pred_score(p).set_gt_score(t) for p, t in zip(pred, target, strict=True)]
    for sample in samples:
        evaluator.process([sample])
    return {name.removeprefix("multi-label/"): value for name, value in evaluator.evaluate(len(samples)).items()}


def random_case(n=200, c=12, seed=0):
    torch.manual_seed(seed)
    target = (torch.rand(n, c) < torch.linspace(0.02, 0.5, c)).float()
    target[0] = 1
    return (torch.rand(n, c) + 0.3 * target) / 1.3, target


def test_table_equals_scikit_learn(logged):
    pred, target = random_case()
    ours = evaluate(pred, target, thr=0.6)
    top3 = torch.zeros_like(pred).scatter_(1, pred.topk(3).indices, 1)
    expected = dict(
        mAP=average_precision_score(target, pred, average="macro"),
        mAP_all=average_precision_score(target, pred, average="micro"),
    )
    for suffix, positive in (("", pred >= 0.6), ("_top3", top3)):
        for letter, average in (("C", "macro"), ("O", "micro")):
            expected[f"{letter}P{suffix}"] = p = precision_score(target, positive, average=average, zero_division=0)
            expected[f"{letter}R{suffix}"] = r = recall_score(target, positive, average=average, zero_division=0)
            expected[f"{letter}F1{suffix}"] = 2 * p * r / (p + r)
        assert expected[f"OF1{suffix}"] == pytest.approx(f1_score(target, positive, average="micro", zero_division=0))
    assert ours == {name: pytest.approx(100 * value, abs=1e-3) for name, value in expected.items()}
    printed = logged[-1][1]
    assert f"mAP {ours['mAP']:.2f} (mean of 12 classes)" in printed
    assert [f"{ours[c]:.1f}" for c in ("CP", "CR", "CF1", "OP", "OR", "OF1")] == [
        cell.strip() for cell in next(line for line in printed.splitlines() if "score >= 0.6" in line).split("|")[2:-1]
    ]


def test_table_leaves_unknown_labels_out():
    pred, target = random_case(seed=1)
    unknown = torch.rand(target.shape) < 0.3
    unknown[0] = False
    masked = torch.where(unknown, -1.0, target)
    ours = evaluate(pred, masked)
    per_class = [
        average_precision_score(target[~unknown[:, k], k], pred[~unknown[:, k], k]) for k in range(target.shape[1])
    ]
    assert ours["mAP"] == pytest.approx(100 * np.mean(per_class), abs=1e-3)
    assert ours["mAP_all"] == pytest.approx(100 * average_precision_score(target[~unknown], pred[~unknown]), abs=1e-3)
    assert ours["OP"] == pytest.approx(100 * precision_score(target[~unknown], pred[~unknown] >= 0.5), abs=1e-3)
    assert ours["OR"] == pytest.approx(100 * recall_score(target[~unknown], pred[~unknown] >= 0.5), abs=1e-3)
    assert torch.equal(masked, torch.where(unknown, -1.0, target))  # nothing was written over


def test_table_leaves_classes_without_positives_out_and_says_so(logged):
    pred, target = random_case(seed=2)
    expected = evaluate(pred[:, 1:], target[:, 1:])
    target[:, 0] = 0
    ours = evaluate(pred, target)
    for name in ("mAP", "mAP_all", "CP", "CR", "OP", "OR"):
        assert ours[name] == pytest.approx(expected[name]), name
    assert "1 classes without a positive are left out" in logged[-1][1]
    with pytest.raises(ValueError, match=" 200 samples"):
        evaluate(pred, torch.zeros_like(target))


@pytest.mark.parametrize("options, message", [(dict(thr=1.0), "thr=1.0"), (dict(topk=0), "topk=0")])
def test_table_refuses_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        MultiLabelTable(**options)


def test_voc_table_leaves_labels_out_that_are_only_difficult():
    pred, target = random_case(n=40, c=4, seed=3)
    masked = target.clone()
    metric = METRICS.build(dict(type="VOCMultiLabelTable"))
    for row, (p, t) in enumerate(zip(pred, target, strict=True)):
        difficult = [row % 4, (row + 1) % 4]
        sample = DataSample().set_pred_score(p).set_gt_label(t.nonzero()[:, 0])
        sample.set_field(difficult, "gt_label_difficult")
        metric.process(None, [sample.to_dict()])
        for k in difficult:
            masked[row, k] = 1 if target[row, k] else -1
    ours = {name: pytest.approx(value) for name, value in metric.compute_metrics(metric.results).items()}
    assert evaluate(pred, masked) == ours


# --- heads and losses ---

HEADS = {
    "linear": dict(type="MultiLabelLinearClsHead", num_classes=7, in_channels=16, loss=ASL),
    "csra": dict(type="CSRAClsHead", num_classes=7, in_channels=16, num_heads=2, lam=0.1, loss=ASL),
    "mldecoder": dict(type="MLDecoderClsHead", num_classes=7, in_channels=16, embed_dims=32, loss=ASL),
    "few groups": dict(type="MLDecoderClsHead", num_classes=7, in_channels=16, num_groups=3, embed_dims=32, loss=ASL),
}


@pytest.mark.slow
@pytest.mark.every_stack
@pytest.mark.parametrize("name", HEADS)
def test_heads_learn_their_labels_with_asl(name):
    torch.manual_seed(0)
    head = MODELS.build(HEADS[name])
    head.init_weights()
    maps = torch.randn(8, 16, 3, 4)
    feats = (maps.mean((2, 3)) if name == "linear" else maps,)
    target = torch.eye(7)[torch.arange(8) % 7]
    samples = [DataSample().set_gt_score(t) for t in target]
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        head.loss(feats, samples)["loss"].backward()
        optimizer.step()
    head.eval()
    with torch.no_grad():
        scores = torch.stack([s.pred_score for s in head.predict(feats)])
    assert torch.equal(scores.argmax(1), torch.arange(8) % 7)


def test_mldecoder_equals_its_equations():
    torch.manual_seed(0)
    head = MLDecoderClsHead(
        num_classes=5, in_channels=6, num_groups=2, embed_dims=8, num_heads=2, feedforward_channels=16
    )
    head.eval()
    head.group_bias.data.normal_()
    x = torch.randn(3, 6, 2, 2)

    def norm(v, i):
        w = head.norms[i]
        return (v - v.mean()) / torch.sqrt(v.var(unbiased=False) + w.eps) * w.weight + w.bias

    expected = torch.empty(3, 5)
    wq, wk, wv = head.attention.in_proj_weight.chunk(3)
    for n in range(3):
        places = [(head.embed.weight @ x[n, :, i, j] + head.embed.bias).relu() for i in range(2) for j in range(2)]
        for c in range(5):
            group, member = divmod(c, 3)
            query = norm(2 * head.queries[group], 0)
            mixed = []
            for part in (slice(0, 4), slice(4, 8)):  # two attention heads
                score = torch.stack([(wq @ query)[part] @ (wk @ place)[part] / math.sqrt(4) for place in places])
                mixed.append(sum(a * (wv @ place)[part] for a, place in zip(score.softmax(0), places, strict=True)))
            answer = norm(query + head.attention.out_proj(torch.cat(mixed)), 1)
            answer = norm(answer + head.feedforward(answer), 2)
            expected[n, c] = answer @ head.group_weight[group, :, member] + head.group_bias[c]
    torch.testing.assert_close(head((x,)), expected, atol=1e-5, rtol=1e-5)


def test_mldecoder_fits_open_images_and_its_queries_stay():
    head = MLDecoderClsHead(num_classes=9605, in_channels=16)
    assert head((torch.randn(1, 16, 2, 2),)).shape == (1, 9605)
    assert head.group_weight.shape == (100, 768, 97)
    assert "queries" in head.state_dict()
    assert "queries" not in dict(head.named_parameters())


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(num_classes=0), "num_classes=0"),
        (dict(num_groups=0), "num_groups=0"),
        (dict(embed_dims=100), "num_heads=8"),
    ],
)
def test_mldecoder_refuses_wrong_sizes(options, message):
    with pytest.raises(ValueError, match=message):
        MLDecoderClsHead(**dict(num_classes=5, in_channels=6) | options)


def test_mldecoder_after_pooling_says_to_leave_the_neck_out():
    with pytest.raises(ValueError, match="neck"):
        MLDecoderClsHead(num_classes=5, in_channels=6)((torch.randn(2, 6),))


@pytest.mark.parametrize(
    "loss", [ASL, dict(type="CrossEntropyLoss", use_sigmoid=True), dict(type="FocalLoss")], ids=["asl", "bce", "focal"]
)
def test_unknown_labels_have_no_loss_and_no_gradient(loss):
    torch.manual_seed(0)
    pred = torch.randn(6, 5, requires_grad=True)
    target = torch.randint(-1, 2, (6, 5)).float()
    partial = MODELS.build(dict(type="PartialLabelLoss", loss=loss))
    value = partial(pred, target, avg_factor=6)
    known = target >= 0
    expected = MODELS.build(loss)(pred, target.clamp(min=0), reduction_override="none")[known].sum() / 6
    torch.testing.assert_close(value, expected)
    (gradient,) = torch.autograd.grad(value, pred)
    assert (gradient[~known] == 0).all()
    assert (gradient[target == 1] != 0).all()
    assert partial(pred, torch.full_like(target, -1)) == 0


def test_partial_labels_reach_the_loss_through_a_head():
    head = MODELS.build(HEADS["linear"] | dict(loss=dict(type="PartialLabelLoss", loss=ASL)))
    assert isinstance(head.loss_module, PartialLabelLoss)
    feats = (torch.randn(2, 16),)
    hidden = [DataSample().set_gt_score(torch.full((7,), -1.0)) for _ in range(2)]
    assert head.loss(feats, hidden)["loss"] == 0


def test_ofa595_is_the_published_network_and_loads_its_weights(tmp_path):
    backbone = OFA595()
    classifier = 1000 * 1536 + 1000
    assert sum(p.numel() for p in backbone.parameters()) + classifier == 9_135_928
    names = [*backbone.state_dict()]
    torch.manual_seed(1)
    state = {name.removeprefix("net."): torch.rand_like(backbone.state_dict()[name].float()) for name in names}
    state |= {"classifier.linear.weight": torch.zeros(1000, 1536), "classifier.linear.bias": torch.zeros(1000)}
    torch.save(dict(state_dict=state), tmp_path / "ofa.pth")
    loaded = OFA595(checkpoint=str(tmp_path / "ofa.pth"))
    assert all(
        torch.equal(loaded.state_dict()[n].float(), state[n.removeprefix("net.")]) for n in names if "num_b" not in n
    )
    loaded.eval()
    assert loaded(torch.rand(1, 3, 64, 64))[0].shape == (1, 1536)


def test_everything_is_registered():
    for name in ("CocoMultiLabel", "NUSWide", "OpenImages"):
        assert DATASETS.get(name) is getattr(asl_mmdet.multilabel, name)
