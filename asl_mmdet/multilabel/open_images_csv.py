"""The CSV files of Open Images: tens of millions of rows in seconds and in a few bytes a label, by Apache Arrow."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from numpy.typing import NDArray

from asl_mmdet.errors import UserError
from asl_mmdet.multilabel.datasets import check_exists

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow_csv
except ImportError as error:
    _pyarrow = "'pyarrow<21'" if np.__version__.startswith("1.") else "pyarrow"  # newer ones need NumPy 2
    raise ImportError(f"OpenImages reads its files by pyarrow ({error}): `pip install {_pyarrow}`") from error

WEB_PAGE = "https://storage.googleapis.com/openimages/web/download_v6.html"
HEADER = "ImageID,Source,LabelName,Confidence"
STRINGS = pa.dictionary(pa.int32(), pa.string())  # only the distinct ones are looked up
COLUMNS = {"ImageID": pa.binary(16), "LabelName": STRINGS, "Confidence": STRINGS}
BLOCK_BYTES = 1 << 23
LINEWISE_BYTES = 1 << 16
IMAGES_AT_ONCE = 1 << 17
EXAMPLES = 5  # of unreadable rows, in the warning
HEX_VALUES = np.full(256, 255, np.uint8)
HEX_VALUES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)

Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def read_classes(path: str) -> tuple[list[str], list[str]]:
    """The MIDs of a class list, and their display names; a MID without one is its own name."""
    check_exists(path, WEB_PAGE)
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = [row for row in csv.reader(file) if row and row[0] != "LabelName"]
    except csv.Error as error:
        raise UserError(f"{path} is not a list of classes: {error}") from error
    mids = [row[0].strip() for row in rows]
    wrong = [mid for mid, number in Counter(mids).items() if number > 1 or not mid.startswith("/")]
    if wrong or not mids:
        found = f"{wrong[0][:80]!r} is no MID or is there twice" if wrong else "it is empty"
        raise UserError(f"{path} is not a list of classes with a MID such as /m/0abc in front of every line: {found}")
    return mids, [row[1] if len(row) > 1 and row[1] else mid for row, mid in zip(rows, mids, strict=True)]


def read_labels(paths: Sequence[str], mids: Sequence[str], min_confidence: float) -> Arrays:
    """The sorted ids of all images (N,), the offsets of their labels (N + 1,) and the labels' codes."""
    for path in paths:
        check_exists(path, WEB_PAGE)
    known, code_type = pa.array(mids, pa.string()), np.min_scalar_type(2 * len(mids) - 1)
    runs: list[Arrays] = []  # of rows of one image: ids, numbers of labels, codes of the labels
    rows = bad = other = between = 0
    examples: list[str] = []
    for path in paths:
        rows_before, bad_before, first = rows, bad, len(examples)
        for (ids, classes, confidences), faults in _read_file(path, known):
            rows, bad = rows + len(ids) + len(faults), bad + len(faults)
            examples += [f"{path} {fault}" for fault in faults[:EXAMPLES]]
            if not len(ids):
                continue
            positive = confidences >= min_confidence
            kept = (classes >= 0) & (positive | (confidences == 0))
            starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1])))
            codes = (2 * classes + ~positive)[kept].astype(code_type)
            runs.append((ids[starts], np.add.reduceat(kept, starts, dtype=np.int32), codes))
            other += np.count_nonzero(classes < 0)
            between += np.count_nonzero(classes >= 0) - len(codes)
        if rows == rows_before:
            raise UserError(f"{path} has no rows below its header")
        if 2 * (bad - bad_before) > rows - rows_before:
            raise UserError(
                f"{bad - bad_before:,} of the {rows - rows_before:,} rows of {path} cannot be read; expected are rows "
                f"of {HEADER}. The first: {examples[first]}"
            )
    logger = MMLogger.get_current_instance()
    if bad:
        listed = "\n".join(f"    {example}" for example in examples[:EXAMPLES])
        logger.warning(f"{bad:,} of {rows:,} rows cannot be read and are left out; the first:\n{listed}")
    labels, conflicts = _merge(runs)
    logger.info(
        f"Open Images: {len(labels[2]):,} labels of {len(labels[0]):,} images from {rows:,} rows. Left out are "
        f"{other:,} rows of classes that are not listed, {between:,} with a confidence between 0 and "
        f"{min_confidence:g}, and {conflicts:,} negative labels that are also positive"
    )
    return labels


def _merge(runs: list[Arrays]) -> tuple[Arrays, int]:
    """One row of sorted codes an image from all of its runs, and how often positive won over negative."""
    ids, sizes, codes = (np.concatenate(arrays) for arrays in zip(*runs, strict=True))
    runs.clear()
    begins = np.cumsum(sizes, dtype=np.int64) - sizes
    if (ids[1:] < ids[:-1]).any():
        order = np.argsort(ids, kind="stable")
        ids, sizes, begins = ids[order], sizes[order], begins[order]
    firsts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1])))
    bounds = np.append(firsts, len(ids))
    merged, numbers, conflicts = [], [], 0
    for at in range(0, len(firsts), IMAGES_AT_ONCE):  # in parts, as keys take 8 bytes a label
        part = bounds[at : at + IMAGES_AT_ONCE + 1]
        size, begin = sizes[part[0] : part[-1]], begins[part[0] : part[-1]]
        image = np.repeat(np.arange(len(part) - 1), np.diff(part))
        places = np.repeat(begin - np.cumsum(size) + size, size) + np.arange(size.sum())
        keys = np.repeat(image, size) << 32 | codes[places]
        keys.sort()
        again = np.flatnonzero(keys[1:] >> 1 == keys[:-1] >> 1) + 1  # of one class, the positive comes first
        conflicts += np.count_nonzero(keys[again] != keys[again - 1])
        keys = np.delete(keys, again)
        merged.append((keys & 0xFFFFFFFF).astype(codes.dtype))
        numbers.append(np.bincount(keys >> 32, minlength=len(part) - 1))
    codes = np.concatenate(merged)
    offsets = np.concatenate(([0], *numbers)).cumsum().astype(np.min_scalar_type(len(codes)))
    return (ids[firsts], offsets, codes), conflicts


def _read_file(path: str, known: pa.Array) -> Iterator[tuple[Arrays, list[str]]]:
    """The rows of a file, block by block, and what is wrong with those that cannot be read.

    Lines are counted here: Arrow's row numbers leave out blank lines and are too high after a row that it skips.
    """
    header: list[str] = []
    line = 1
    for block in _read_blocks(path):
        if not header:
            first, _, block = block.partition(b"\n")
            header = first.decode("utf-8-sig", "replace").strip().replace('"', "").split(",")
            if any(header.count(name) != 1 for name in COLUMNS):
                raise UserError(f"{path} begins with {first[:80]!r}; expected is {HEADER}")
            line += 1
        yield from parse_block(block, header, known, line)
        line += block.count(b"\n")
    if not header:
        raise UserError(f"{path} is empty; expected is {HEADER} and rows")


def _read_blocks(path: str) -> Iterator[bytes]:
    """A file, unpacked if its name says so, in pieces of whole lines."""
    rest = b""
    try:
        with pa.input_stream(path) as stream:
            while piece := stream.read(BLOCK_BYTES):
                lines, newline, tail = piece.rpartition(b"\n")
                if newline:
                    yield rest + lines + newline
                rest = tail if newline else rest + tail
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if rest:
        yield rest + b"\n"


def parse_block(block: bytes, header: list[str], known: pa.Array, number: int) -> Iterator[tuple[Arrays, list[str]]]:
    """The rows of a block and its faults; ``number`` is that of the first line.

    A block with a bad row is read line by line, which is slow. So it is cut in halves first, until they are short.
    """
    cut = block.find(b"\n", len(block) // 2) + 1
    if rows := parse_rows(block, header, known):
        yield rows, []
    elif len(block) < LINEWISE_BYTES or cut in (0, len(block)):
        yield parse_lines(block, header, known, number)
    else:
        yield from parse_block(block[:cut], header, known, number)
        yield from parse_block(block[cut:], header, known, number + block.count(b"\n", 0, cut))


def parse_rows(block: bytes, header: list[str], known: pa.Array) -> Arrays | None:
    """Image ids, classes (-1: not listed) and confidences of a block; None unless every line is a row in order."""
    read_options = arrow_csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=header)
    convert_options = arrow_csv.ConvertOptions(include_columns=list(COLUMNS), column_types=COLUMNS, check_utf8=False)
    try:
        table = arrow_csv.read_csv(pa.BufferReader(block), read_options, convert_options=convert_options)
        if table.num_rows != block.count(b"\n"):  # blank lines, or a quoted field over several lines
            return None
        image, label, confidence = (column.chunk(0) for column in table.combine_chunks().columns)
        values = confidence.dictionary.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    digits = HEX_VALUES[np.frombuffer(image.buffers()[1], np.uint8, 16 * len(image))]
    if image.null_count or digits.max() > 15 or not ((values >= 0) & (values <= 1)).all():
        return None
    ids = (digits[::2] << 4 | digits[1::2]).view(">u8").astype(np.uint64)
    classes = pc.index_in(label.dictionary, value_set=known).fill_null(-1).to_numpy()
    return ids, classes[label.indices.to_numpy()], values[confidence.indices.to_numpy()]


def parse_lines(block: bytes, header: list[str], known: pa.Array, number: int) -> tuple[Arrays, list[str]]:
    """The same line by line, and what is wrong with the lines that are left out."""
    places = [header.index(name) for name in COLUMNS]
    rows, faults = [], []
    for line, text in enumerate(block.decode("utf-8", "replace").split("\n"), number):
        text = text.removesuffix("\r")
        if not text:
            continue
        try:
            fields = next(csv.reader([text]))
            if len(fields) != len(header):
                raise UserError(f"{len(fields)} columns instead of {len(header)}")
            image, label, confidence = (fields[place] for place in places)
            if not re.fullmatch("[0-9a-f]{16}", image):
                raise UserError("the ImageID is not 16 hex digits")
            if not 0 <= float(confidence) <= 1:
                raise UserError("the Confidence is not in [0, 1]")
            rows.append((int(image, 16), label, float(confidence)))
        except (ValueError, csv.Error) as error:
            faults.append(f"line {line}: {error}: {text[:80]!r}")
    images, labels, confidences = zip(*rows, strict=True) if rows else ((), (), ())
    classes = pc.index_in(pa.array(labels, pa.string()), value_set=known).fill_null(-1).to_numpy()
    return (np.array(images, np.uint64), classes, np.array(confidences, np.float64)), faults
