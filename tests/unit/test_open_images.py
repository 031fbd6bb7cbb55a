import csv
import gzip
import pickle
import random
import re
from collections import defaultdict

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("mmpretrain")
pytest.importorskip("pyarrow")

from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmpretrain.datasets import KFoldDataset
from mmpretrain.evaluation import AveragePrecision
from mmpretrain.registry import DATASETS

from asl_mmdet.multilabel import open_images_csv as open_images
from asl_mmdet.multilabel.open_images import OpenImages

HEADER = "ImageID,Source,LabelName,Confidence"
MIDS = ["/m/0b", "/m/0a", "/g/1c", "/m/0d"]
A, B, C = (f"{i:016x}" for i in (10, 11, 0xFEDCBA9876543210))


def write(path, text):
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def write_set(folder, *rows, classes=MIDS):
    """A label file and a class list in ``folder``, as the arguments of a data set."""
    text = "".join(f"{row}\n" for row in (HEADER, *rows))
    return dict(
        ann_file=write(folder / "labels.csv", text),
        class_file=write(folder / "classes.txt", "\n".join(classes) + "\n"),
    )


def labels_of(dataset):
    """The image ids of a data set with their positive classes."""
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return {re.search(r"([0-9a-f]{16})\.jpg$", info["img_path"])[1]: info["gt_label"] for info in infos}


def read_plainly(texts, classes, min_confidence=1.0):
    """Verdicts by image, class and the numbers of the bad lines by file, one line after the other with csv alone."""
    verdicts, bad_lines = defaultdict(dict), []
    for text in texts:
        bad_lines.append([])
        for number, line in enumerate(text.splitlines(), 1):
            if number == 1 or not line:
                continue
            fields = next(csv.reader([line]))
            try:
                image, _, mid, confidence = fields
                assert len(image) == 16
                assert set(image) <= set("0123456789abcdef")
                confidence = float(confidence)
                assert 0 <= confidence <= 1
            except (AssertionError, ValueError):
                bad_lines[-1].append(number)
                continue
            of_image = verdicts[image]
            if mid in classes and (confidence >= min_confidence or confidence == 0):
                index = classes.index(mid)
                of_image[index] = max(of_image.get(index, 0), int(confidence >= min_confidence))
    return verdicts, bad_lines


def random_file(rng, mids, bad_rate, newline):
    images = [f"{rng.getrandbits(64):016x}" for _ in range(30)]
    spoiled = [
        lambda f: f[:3],
        lambda f: [*f, "1"],
        lambda f: [f[0][:15], *f[1:]],
        lambda f: ["g" + f[0][1:], *f[1:]],
        lambda f: ["", *f[1:]],
        lambda f: [*f[:3], rng.choice(["", "x", "nan", "-0.5", "1.01", "inf"])],
    ]
    lines = []
    for image in images:
        for _ in range(rng.randrange(1, 12)):
            mid = rng.choice([*mids, "/m/0unknown", "/m/0other"])
            fields = [image, "verification", mid, rng.choice(["0", "1", "1.0", "0.5", "0.7", "0.9"])]
            if rng.random() < bad_rate:
                fields = rng.choice(spoiled)(fields)
            elif rng.random() < 0.1:
                fields = [f'"{field}"' for field in fields]
                fields[1] = '"a, ""quoted"" source"'
            lines.append(",".join(fields))
            if rng.random() < 0.05:
                lines.append(rng.choice([lines[-1], ""]))
    if rng.random() < 0.5:
        rng.shuffle(lines)
    return newline.join([HEADER, *lines, *[""] * rng.randrange(3)])


@pytest.mark.parametrize("block_bytes", [100, 1000, open_images.BLOCK_BYTES])
@pytest.mark.parametrize("newline, suffix", [("\n", ".csv"), ("\r\n", ".csv"), ("\n", ".csv.gz")])
@pytest.mark.parametrize("bad_rate", [0, 0.1])
def test_random_files_are_read_as_by_a_plain_csv_reader(
    tmp_path, monkeypatch, logged, block_bytes, newline, suffix, bad_rate
):
    monkeypatch.setattr(open_images, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(open_images, "LINEWISE_BYTES", 400)
    monkeypatch.setattr(open_images, "IMAGES_AT_ONCE", 7)
    monkeypatch.setattr(open_images, "EXAMPLES", 10_000)
    classes = write(tmp_path / "classes.txt", "\n".join(MIDS))
    for seed in range(3):
        rng = random.Random(f"{seed} {block_bytes} {newline} {suffix} {bad_rate}")
        texts = [random_file(rng, MIDS, bad_rate, newline) for _ in range(rng.randrange(1, 4))]
        if len(texts) > 1:  # images in two files
            texts[1] += newline + newline.join(line for line in texts[0].splitlines()[1:] if rng.random() < 0.3)
        files = [write(tmp_path / f"{seed}_{i}{suffix}", text) for i, text in enumerate(texts)]
        logged.clear()
        min_confidence = rng.choice([1.0, 0.7])
        dataset = OpenImages(files, classes, unannotated="ignore", min_confidence=min_confidence)

        verdicts, bad_lines = read_plainly(texts, MIDS, min_confidence)
        assert list(labels_of(dataset)) == sorted(verdicts)
        for i, image in enumerate(sorted(verdicts)):
            info = dataset.get_data_info(i)
            scores = [verdicts[image].get(k, -1) for k in range(len(MIDS))]
            assert info["gt_label"] == [k for k, score in enumerate(scores) if score == 1]
            assert info["gt_score"].tolist() == scores
        wanted = [f"{file} line {number}:" for file, lines in zip(files, bad_lines, strict=True) for number in lines]
        warnings = [text for level, text in logged if level == "WARNING"]
        assert len(warnings) == bool(wanted)
        found = [line.strip() for text in warnings for line in text.splitlines()[1:]]
        assert len(found) == len(wanted)
        assert all(line.startswith(start) for line, start in zip(found, wanted, strict=True))


def test_readable_lines_mean_the_same_to_both_parsers():
    rng = random.Random(0)
    text = "".join(
        f"{rng.getrandbits(64):016x},v,{rng.choice([*MIDS, '', 'é'])},{rng.choice(['0', '1', '.5', '1e-1', '0.30'])}\n"
        for _ in range(1000)
    )
    block, header, known = text.encode(), HEADER.split(","), open_images.pa.array(MIDS)
    fast = open_images.parse_rows(block, header, known)
    slow, faults = open_images.parse_lines(block, header, known, 2)
    assert not faults
    for left, right in zip(fast, slow, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("block_bytes", [60, open_images.BLOCK_BYTES])
def test_unreadable_rows_are_counted_and_named_by_their_lines(tmp_path, monkeypatch, logged, block_bytes):
    monkeypatch.setattr(open_images, "BLOCK_BYTES", block_bytes)
    good = [f"{i:016x},v,/m/0a,1" for i in range(20)]
    rows = [*good[:3], "only,three,columns", "", "", f"{A.upper()},v,/m/0a,1", *good[3:5]]
    rows += [f"{A},v,/m/0a,2", f'{A},"a, b",/m/0a,high', f"{A},v,/m/0a,1,5", " ", f'{A},"v', '",/m/0a,1', *good[5:]]
    dataset = OpenImages(**write_set(tmp_path, *rows))
    assert labels_of(dataset) == {f"{i:016x}": [1] for i in range(20)}
    [warning] = [text for level, text in logged if level == "WARNING"]
    first, *listed = warning.splitlines()
    assert first.startswith("8 of 28 rows cannot be read")
    file = str(tmp_path / "labels.csv")
    assert [line.strip() for line in listed] == [
        f"{file} line 5: 3 columns instead of 4: 'only,three,columns'",
        f"{file} line 8: the ImageID is not 16 hex digits: '{A.upper()},v,/m/0a,1'",
        f"{file} line 11: the Confidence is not in [0, 1]: '{A},v,/m/0a,2'",
        f"{file} line 12: could not convert string to float: 'high': '{A},\"a, b\",/m/0a,high'",
        f"{file} line 13: 5 columns instead of 4: '{A},v,/m/0a,1,5'",
    ]


@pytest.mark.parametrize(
    "line", [f"{A},v,/m/0\udcff,1", f"{A},\udcff,/m/0\0x,1", f'{A},"v,/m/0a,1', "x\ry", "x" * 200_000]
)
def test_odd_bytes_do_not_end_the_reading(tmp_path, line):
    paths = write_set(tmp_path)
    lines = [HEADER, f"{B},v,/m/0a,1", line, f"{C},v,/m/0a,1", f"{C},v,/m/0b,1"]
    (tmp_path / "labels.csv").write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    labels = labels_of(OpenImages(**paths))
    assert labels.pop(A, []) == []
    assert labels == {B: [1], C: [0, 1]}


def test_positive_wins_over_negative_and_rows_left_out_are_counted(tmp_path, logged):
    rows = [*[f"{A},v,/m/0a,0"] * 3, *[f"{A},v,/m/0a,1"] * 2, f"{A},v,/m/0b,1", f"{A},v,/m/0d,0"]
    rows += [f"{B},m,/m/0a,0.8", f"{B},m,/m/0b,0.5", f"{B},m,/m/0unknown,0.9", f"{B},v,/m/0unknown,1"]
    dataset = OpenImages(**write_set(tmp_path, *rows), unannotated="ignore", min_confidence=0.8)
    assert labels_of(dataset) == {A: [0, 1], B: [1]}
    assert dataset.get_data_info(0)["gt_score"].tolist() == [1, 1, -1, 0]
    assert dataset.get_data_info(0)["gt_score"].dtype == np.float32
    [(level, text)] = logged
    assert level == "INFO"
    assert "4 labels of 2 images from 11 rows" in text
    assert "2 rows of classes that are not listed, 1 with a confidence between 0 and 0.8, and 1 negative" in text


def test_images_without_a_positive_label_stay_unless_filtered(tmp_path):
    rows = [f"{A},v,/m/0unknown,1", f"{B},v,/m/0a,1", f"{B},v,/m/0b,0", f"{C},v,/m/0a,0", f"{C},v,/m/0b,0.9"]
    paths = write_set(tmp_path, *rows)
    assert labels_of(OpenImages(**paths)) == {A: [], B: [1], C: []}
    assert "gt_score" not in OpenImages(**paths).get_data_info(0)
    assert labels_of(OpenImages(**paths, filter_cfg=dict(filter_empty_gt=True))) == {B: [1]}
    assert labels_of(OpenImages(**paths, filter_cfg=dict(filter_empty_gt=False))) == {A: [], B: [1], C: []}
    nothing = write_set(tmp_path, f"{A},v,/m/0unknown,1")
    assert len(OpenImages(**nothing, filter_cfg=dict(filter_empty_gt=True))) == 0


def test_indices_and_subsets_select_images(tmp_path):
    images = [f"{i:016x}" for i in range(10)]
    paths = write_set(tmp_path, *(f"{image},v,{MIDS[i % 4]},1" for i, image in enumerate(images)))
    whole = OpenImages(**paths)
    assert list(labels_of(OpenImages(**paths, indices=3))) == images[:3]
    assert list(labels_of(OpenImages(**paths, indices=-3))) == images[-3:]
    assert list(labels_of(OpenImages(**paths, indices=[7, 0, -1]))) == [images[7], images[0], images[9]]
    assert len(OpenImages(**paths, indices=[])) == 0
    subset = whole.get_subset([5, 2])
    assert labels_of(subset) == {images[5]: [1], images[2]: [2]}
    assert subset.data_list.codes is whole.data_list.codes
    assert list(labels_of(subset.get_subset(1))) == [images[5]]
    whole.get_subset_(range(4, 6))
    assert list(labels_of(whole)) == images[4:6]
    assert whole.get_data_info(-1)["sample_idx"] == 1
    with pytest.raises(IndexError):
        whole.get_data_info(2)


def test_wrappers_of_mmengine_and_mmpretrain_take_it(tmp_path):
    rows = [f"{i:016x},v,/m/0a,1" for i in range(9)] + [f"{9:016x},v,/m/0b,1"]
    config = dict(type="OpenImages", **write_set(tmp_path, *rows), lazy_init=True)
    dataset = DATASETS.build(config)
    assert RepeatDataset(dataset, 3).get_data_info(29)["gt_label"] == [0]
    balanced = ClassBalancedDataset(dataset, oversample_thr=0.4)
    assert len(balanced) == 11
    assert balanced.get_cat_ids(10) == [0]
    assert len(ConcatDataset([dataset, dataset])) == 20
    assert len(KFoldDataset(config, fold=0, num_splits=5)) == 8


def test_lazy_init_reads_the_labels_when_they_are_needed(tmp_path):
    paths = write_set(tmp_path, f"{A},v,/m/0a,1")
    (tmp_path / "labels.csv").rename(tmp_path / "later.csv")
    dataset = OpenImages(**paths, lazy_init=True)
    assert list(dataset.CLASSES) == MIDS
    assert "initialized" in repr(dataset)
    (tmp_path / "later.csv").rename(tmp_path / "labels.csv")
    assert dataset.get_cat_ids(0) == [1]
    assert "labels.csv" in repr(dataset)


def test_images_go_through_the_pipeline_of_mmpretrain(tmp_path):
    write_set(tmp_path, f"{A},v,/m/0a,1", f"{A},v,/m/0d,0", f"{B},v,/m/0unknown,1")
    (tmp_path / "train").mkdir()
    for image, level in ((A, 50), (B, 200)):
        cv2.imwrite(str(tmp_path / "train" / f"{image}.jpg"), np.full((8, 12, 3), level, np.uint8))
    config = dict(
        type="OpenImages",
        data_root=str(tmp_path),
        data_prefix="train",
        ann_file=["labels.csv"],
        class_file="classes.txt",
        unannotated="ignore",
        test_mode=True,
        pipeline=[dict(type="LoadImageFromFile"), dict(type="PackInputs")],
    )
    dataset = pickle.loads(pickle.dumps(DATASETS.build(config)))  # as the workers of a data loader get it
    first, second = (dataset[i] for i in range(2))
    assert first["inputs"].shape == (3, 8, 12)
    assert abs(second["inputs"].float().mean() - 200) < 2
    assert first["data_samples"].gt_label.tolist() == [1]
    assert first["data_samples"].gt_score.tolist() == [-1, 1, -1, 0]
    assert second["data_samples"].gt_label.tolist() == []
    assert second["data_samples"].gt_label.dtype == torch.int64
    assert second["data_samples"].img_path == str(tmp_path / "train" / f"{B}.jpg")


def test_unannotated_scores_do_not_count_in_average_precision(tmp_path):
    rows = [f"{A},v,/m/0a,1", f"{B},v,/m/0a,0"]
    dataset = OpenImages(**write_set(tmp_path, *rows, f"{C},v,/m/0unknown,1", classes=["/m/0a"]), unannotated="ignore")
    target = torch.tensor(np.stack([dataset.get_data_info(i)["gt_score"] for i in range(3)]))
    assert AveragePrecision.calculate(torch.tensor([[0.5], [0.1], [0.9]]), target).item() == pytest.approx(100)


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_label_takes_less_than_five_bytes(tmp_path, shuffled):
    rng = np.random.default_rng(0)
    classes = [f"/m/0{i:x}" for i in range(9605)]
    images = np.sort(rng.integers(0, 40_000, 280_000))
    if shuffled:
        rng.shuffle(images)
    classes_drawn, confidences = rng.integers(0, len(classes), len(images)), rng.integers(0, 2, len(images))
    rows = zip((images * 2**40).tolist(), classes_drawn.tolist(), confidences.tolist(), strict=True)
    dataset = OpenImages(**write_set(tmp_path, *(f"{i:016x},v,/m/0{c:x},{k}" for i, c, k in rows), classes=classes))
    labels, pairs = dataset.data_list, np.unique(images * len(classes) + classes_drawn)
    assert len(labels.codes) == len(pairs)
    assert labels.codes.dtype == np.uint16
    np.testing.assert_array_equal(labels.ids >> 40, np.unique(images))
    np.testing.assert_array_equal(labels.codes >> 1, pairs % len(classes))
    arrays = [array for array in vars(labels).values() if isinstance(array, np.ndarray)]
    held = {id(base): base for base in (array if array.base is None else array.base for array in arrays)}
    assert sum(array.nbytes for array in held.values()) < 5 * len(labels.codes)


@pytest.mark.parametrize(
    "text, mids, names",
    [
        ("/m/0b\n/m/0a\n", ["/m/0b", "/m/0a"], ["/m/0b", "/m/0a"]),
        ('\ufeffLabelName,DisplayName\r\n/m/0b,Bee\r\n/m/0a,"Ant, red"\r\n', ["/m/0b", "/m/0a"], ["Bee", "Ant, red"]),
        ("/m/0b,Bee\n\n/m/0a,\n", ["/m/0b", "/m/0a"], ["Bee", "/m/0a"]),
    ],
)
def test_class_lists_have_mids_with_or_without_names(tmp_path, text, mids, names):
    paths = write_set(tmp_path, f"{A},v,/m/0a,1")
    write(tmp_path / "classes.txt", text)
    dataset = OpenImages(**paths)
    assert (dataset.mids, list(dataset.metainfo["classes"])) == (mids, names)
    assert dataset.get_cat_ids(0) == [1]


def test_columns_are_found_by_their_names(tmp_path):
    paths = write_set(tmp_path)
    write(tmp_path / "labels.csv", f"\ufeffConfidence,ImageID,LabelName\n1,{A},/m/0a\n0.5,{A},/m/0b")
    assert labels_of(OpenImages(**paths)) == {A: [1]}


@pytest.mark.parametrize(
    "text, found",
    [
        ("", "labels.csv is empty; expected is ImageID,Source,LabelName,Confidence"),
        ("\n\n", "begins with b''; expected is ImageID,Source,LabelName,Confidence"),
        ("ImageID,LabelName\n", "begins with b'ImageID,LabelName'; expected is ImageID,Source"),
        (f"{A},v,/m/0a,1\n", "expected is ImageID,Source,LabelName,Confidence"),
        (HEADER, "labels.csv has no rows"),
        (HEADER + "\n\n", "labels.csv has no rows"),
        (f"{HEADER}\n{A},v,/m/0a,1\nx,y\nz\n", r"2 of the 3 rows of .*labels.csv cannot be read.* line 3: 2 columns"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, text, found):
    paths = write_set(tmp_path)
    write(tmp_path / "labels.csv", text)
    with pytest.raises(ValueError, match=found):
        OpenImages(**paths)


def test_half_of_the_rows_of_every_file_may_be_unreadable(tmp_path):
    paths = write_set(tmp_path, *["x"] * 5, *[f"{A},v,/m/0a,1"] * 5)
    second = write(tmp_path / "second.csv", f"{HEADER}\nNA,v,/m/0a,1\n{B},v,/m/0a,1\n")
    assert list(labels_of(OpenImages([paths["ann_file"], second], paths["class_file"]))) == [A, B]


def test_torn_archive_is_refused_by_name(tmp_path):
    paths = write_set(tmp_path, *(f"{random.Random(i).getrandbits(64):016x},v,/m/0a,1" for i in range(2000)))
    packed = gzip.compress((tmp_path / "labels.csv").read_bytes())
    (tmp_path / "labels.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match=r"labels\.csv\.gz cannot be read"):
        OpenImages(paths["ann_file"] + ".gz", paths["class_file"])


@pytest.mark.parametrize("text", ["", "Bee\nAnt\n", "/m/0a\n/m/0a\n", "Bee,/m/0b\n"])
def test_other_class_lists_are_refused_by_name(tmp_path, text):
    paths = write_set(tmp_path, f"{A},v,/m/0a,1")
    write(tmp_path / "classes.txt", text)
    with pytest.raises(ValueError, match=r"classes\.txt is not a list of classes"):
        OpenImages(**paths)


@pytest.mark.parametrize("missing", ["ann_file", "class_file"])
def test_missing_files_are_named_with_the_page_that_has_them(tmp_path, missing):
    paths = {**write_set(tmp_path, f"{A},v,/m/0a,1"), missing: str(tmp_path / "gone.csv")}
    with pytest.raises(FileNotFoundError, match=r"gone\.csv.*https://storage\.googleapis\.com/openimages/web/"):
        OpenImages(**paths)


@pytest.mark.parametrize(
    "options, found",
    [
        (dict(unannotated="positive"), "unannotated='positive' must be"),
        (dict(min_confidence=0), r"min_confidence=0 is out of range: it must be in \(0, 1\]"),
        (dict(classes=["Ant"]), "lists 4 classes, but 1 names are given"),
    ],
)
def test_bad_options_name_themselves(tmp_path, options, found):
    with pytest.raises(ValueError, match=found):
        OpenImages(**write_set(tmp_path, f"{A},v,/m/0a,1"), **options)
