"""Random inputs: the loss against the float64 reference, and the readers of annotations against damaged files.

``pytest tests/test_fuzz.py --hypothesis-profile=long`` tries 20,000 cases of the loss.
"""

import contextlib
import copy
import json
import math

import pytest
import reference
import torch
from annotated import coco
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mmengine.config import ConfigDict

from asl_mmdet.checks import check_datasets
from asl_mmdet.losses import asymmetric_loss

pytest.importorskip("mmpretrain")

from asl_mmdet.multilabel import CocoMultiLabel, NUSWide

DTYPES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 1e-4, torch.bfloat16: 1e-4}
GAMMAS = st.sampled_from([0, 1e-300, 0.3, 0.5, 1, 1.7, 2, 3, 4, 8]) | st.floats(0, 6)
LOGITS = st.floats(-12, 12, width=16) | st.sampled_from([0.0, 50.0, -50.0, 88.0, -88.0, 200.0, -200.0, 1e4, -1e4])
pytestmark = pytest.mark.usefixtures("mmdet_scope")


@st.composite
def losses(draw):
    rows, columns = draw(st.integers(0, 6)), draw(st.integers(1, 5))
    dtype = draw(st.sampled_from(list(DTYPES)))

    def matrix(values):
        entries = draw(st.lists(values, min_size=rows * columns, max_size=rows * columns))
        return torch.tensor(entries, dtype=torch.float64).view(rows, columns)

    z = matrix(LOGITS).to(dtype)
    kind = draw(st.sampled_from(["index", "hard", "soft"]))
    if kind == "index":
        target = torch.tensor(draw(st.lists(st.integers(0, columns), min_size=rows, max_size=rows)), dtype=torch.long)
        y = torch.nn.functional.one_hot(target, columns + 1)[:, :columns].double().view(rows, columns)
    else:
        target = y = matrix(st.sampled_from([0.0, 1.0]) if kind == "hard" else st.floats(0, 1))
    shape = draw(st.sampled_from([None, (rows,), (rows, columns), (rows * columns,)]))
    weight = None
    if shape is not None:
        number = math.prod(shape)
        weight = torch.tensor(draw(st.lists(st.floats(0, 10), min_size=number, max_size=number))).view(shape)
    clip = draw(st.sampled_from([0.0, 1e-12, 0.05]) | st.floats(1e-3, 0.9))
    parameters = dict(
        gamma_pos=draw(GAMMAS),
        gamma_neg=draw(GAMMAS),
        clip=clip,
        alpha=draw(st.none() | st.floats(0, 1)),
        detach_focusing=draw(st.booleans()),
        ignore_above=draw(st.just(1.0) | st.floats(clip + 0.01, 0.99)),
    )
    return z, target, y, weight, parameters


@given(losses())
@settings(deadline=None)
def test_loss_equals_the_reference(case):
    z, target, y, weight, parameters = case
    has_object = target < z.shape[1] if target.dim() == 1 else None
    loss, slope = reference.asymmetric_loss(z.double(), y, has_object=has_object, **parameters)
    if weight is not None:
        factor = weight.double().view(len(z), 1) if weight.dim() == 1 and len(weight) == len(z) else weight.double()
        factor = factor.view(z.shape) if factor.numel() == z.numel() else factor
        loss, slope = loss * factor, slope * factor
    z = z.clone().requires_grad_()
    found = asymmetric_loss(z, target, weight, reduction="none", **parameters)
    (grad,) = torch.autograd.grad(found.sum(), z)
    assert found.isfinite().all() and grad.isfinite().all()
    assert found.shape == z.shape and found.dtype == (torch.float64 if z.dtype == torch.float64 else torch.float32)
    # Next to the two thresholds rounding decides on which side p is, and the slope of x ** gamma has no bound.
    p = z.detach().double().sigmoid()
    tolerance = DTYPES[z.dtype]
    far = ((p - parameters["clip"]).abs() > tolerance) | (parameters["clip"] == 0)
    far &= (p - parameters["ignore_above"]).abs() > tolerance
    exact = z.dtype == torch.float64
    close = dict(rtol=1e-8, atol=1e-9) if exact else dict(rtol=5e-3, atol=1e-5)
    torch.testing.assert_close(found.detach().double()[far], loss[far], **close)
    rounding = torch.finfo(z.dtype).eps  # the gradient has the dtype of the logits
    close = close if exact else dict(rtol=max(5e-3, 2 * rounding), atol=max(1e-5, torch.finfo(z.dtype).tiny))
    torch.testing.assert_close(grad.double()[far], slope[far], **close)
    total = asymmetric_loss(z, target, weight, reduction="sum", **parameters)
    torch.testing.assert_close(total.double(), found.double().sum(), rtol=1e-4, atol=1e-4)


BOXES = [(1 + i % 3, 1 + i % 2, (3.0, 4, 10, 12)) for i in range(1, 6)]
COCO = coco({1: "cat", 2: "dog"}, {i: f"{i}.jpg" for i in (1, 2, 3)}, BOXES)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


def places(node, path=()):
    """The paths of all values in nested lists and dictionaries."""
    yield path
    for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(child, (*path, key))


@st.composite
def damaged_coco(draw):
    """The bytes of an annotation file with some values changed or gone, or cut off."""
    content = copy.deepcopy(COCO)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in places(content) if path]))
        node = content
        for key in path[:-1]:
            node = node[key]
        if draw(st.booleans()):
            node[path[-1]] = draw(JSON)
        else:
            del node[path[-1]]
    data = json.dumps(content).encode()
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 4)) == 0 else data


@contextlib.contextmanager
def reading(name):
    """Either it can be read, or there is a ValueError that names the file."""
    try:
        yield
    except ValueError as error:
        if name not in str(error):
            raise


@given(damaged_coco(), st.booleans())
@settings(deadline=None, max_examples=100)
def test_damaged_coco_file_is_read_or_refused_with_its_name(tmp_path_factory, data, with_crowd):
    folder = tmp_path_factory.getbasetemp() / "fuzz_coco"
    folder.mkdir(exist_ok=True)
    (folder / "damaged.json").write_bytes(data)
    with reading("damaged.json"):
        dataset = CocoMultiLabel(str(folder / "damaged.json"), with_crowd=with_crowd)
        assert all(0 <= label < len(dataset.CLASSES) for info in dataset for label in info["gt_label"])
    loader = dict(dataset=dict(type="CocoDataset", data_root=str(folder), ann_file="damaged.json"))
    found = check_datasets(ConfigDict(train_dataloader=loader), ("train",), read_images=True)
    assert found["train_dataloader.dataset"]  # the images are not there


CSV = b"""filepath,label,split_name
images/1.jpg,"['sky', 'animal']",train
images/2.jpg,"['zebra']",val
images/3.jpg,[],train
"""
LABELS = b"""ImageID,Source,LabelName,Confidence
000000000000000a,verification,/m/0a,1
000000000000000a,verification,/m/0b,0
000000000000000b,machine,/m/0a,0.7
"""


def damaged(data):
    """A file with some bytes replaced, left out or added."""
    changes = st.lists(st.tuples(st.integers(0, len(data) - 1), st.binary(max_size=3)), min_size=1, max_size=4)

    def change(changes):
        changed = data
        for place, replacement in changes:
            changed = changed[:place] + replacement + changed[place + 1 :]
        return changed

    return changes.map(change)


def labels_fit(dataset):
    """Whether every label is that of a class."""
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    return all(0 <= label < len(dataset.CLASSES) for info in infos for label in info["gt_label"])


@given(damaged(CSV))
@example(b"\0\r" + CSV[1:])
@settings(deadline=None, max_examples=100)
def test_damaged_nus_wide_file_is_read_or_refused_with_its_name(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    path.write_bytes(data)
    with reading("damaged.csv"):
        assert labels_fit(NUSWide(str(path), "train"))


@given(damaged(LABELS), damaged(b"/m/0a,Cat\n/m/0b,Dog\n") | st.none(), st.sampled_from(["negative", "ignore"]))
@example(b"\0\r" + LABELS[1:], None, "negative")
@settings(deadline=None)
def test_damaged_open_images_file_is_read_or_refused_with_its_name(tmp_path_factory, labels, classes, unannotated):
    pytest.importorskip("pyarrow")
    from asl_mmdet.multilabel.open_images import OpenImages

    folder = tmp_path_factory.getbasetemp()
    (folder / "damaged_labels.csv").write_bytes(labels)
    (folder / "damaged_classes.csv").write_bytes(b"/m/0a\n/m/0b\n" if classes is None else classes)
    with reading("damaged_"):
        dataset = OpenImages(str(folder / "damaged_labels.csv"), str(folder / "damaged_classes.csv"), unannotated)
        assert labels_fit(dataset)
