"""Reading speed and memory of the Open Images data set: python benchmarks/bench_open_images.py FOLDER.

A label file in the form of Open Images V6 is generated in FOLDER (about 43 bytes a row; it is kept, and used again),
with 7 rows an image on average and 19,957 classes whose frequencies fall as 1 / rank; the first 9,605 are listed. It is
read in a fresh process on one core; the file is in the page cache then.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from tables import MICRO, write_micro

from asl_mmdet.cli.common import need

CLASSES, LISTED = 19_957, 9_605
ROWS_AN_IMAGE = 7
SOURCES = ["verification", "crowdsource-verification"]


def generate(folder: Path, rows: int, seed: int = 0) -> tuple[Path, Path]:
    """The label file and the class list, made where they are missing."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    labels, classes = folder / f"labels_{rows}.csv", folder / "classes.txt"
    folder.mkdir(parents=True, exist_ok=True)
    names = np.array([f"/m/0{np.base_repr(40_000 + 1_234 * i, 36).lower()}" for i in range(CLASSES)])
    np.random.default_rng(seed).shuffle(names)  # by frequency from here on
    classes.write_text("\n".join(names[:LISTED]) + "\n", encoding="utf-8")
    if labels.exists():
        return labels, classes
    rng = np.random.default_rng([seed, 1])
    frequencies = 1 / np.arange(1, CLASSES + 1)
    cumulative = np.cumsum(frequencies) / frequencies.sum()
    ids = np.sort(rng.integers(0, 2**64, rows // ROWS_AN_IMAGE + 1, np.uint64))
    image = np.sort(rng.integers(0, len(ids), rows))
    schema = pa.schema([(name, pa.string()) for name in ("ImageID", "Source", "LabelName", "Confidence")])
    building = labels.with_suffix(".building")
    options = arrow_csv.WriteOptions(include_header=False, quoting_style="none")  # Arrow quotes the header
    with building.open("wb") as file, arrow_csv.CSVWriter(file, schema, write_options=options) as writer:
        file.write(b"ImageID,Source,LabelName,Confidence\n")
        for start in range(0, rows, 1_000_000):
            part = ids[image[start : start + 1_000_000]]
            nibbles = np.repeat(part.astype(">u8").view(np.uint8), 2)
            nibbles[::2] >>= 4
            hexadecimal = np.frombuffer(b"0123456789abcdef", np.uint8)[nibbles & 15]
            offsets = np.arange(0, 16 * len(part) + 1, 16, dtype=np.int32)
            drawn = np.minimum(np.searchsorted(cumulative, rng.random(len(part))), CLASSES - 1)
            columns = [pa.StringArray.from_buffers(len(part), pa.py_buffer(offsets), pa.py_buffer(hexadecimal))]
            for values, indices in (
                (SOURCES, rng.random(len(part)) < 0.1),
                (names, drawn),
                (["0", "1"], rng.random(len(part)) < 0.35),
            ):
                columns.append(pa.array(values).take(pa.array(indices.astype(np.int32))))
            writer.write_table(pa.table(columns, schema=schema))
    building.rename(labels)
    return labels, classes


def measure(labels: str, classes: str) -> dict[str, Any]:
    """One reading: seconds of the data set's making, peak memory of the process and size of what is kept."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from asl_mmdet.multilabel.open_images import OpenImages

    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    start = time.perf_counter()
    data = OpenImages(labels, classes).data_list
    seconds = time.perf_counter() - start
    return {
        "images": len(data),
        "labels": len(data.codes),
        "seconds": seconds,
        "peak_rss_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 2),
        "rss_before_gb": round(before / 1e9, 2),
        "bytes_per_label": round((data.ids.nbytes + data.ends.nbytes + data.codes.nbytes) / len(data.codes), 2),
    }


def main() -> None:
    """Generate the file, read it in fresh processes, print the numbers and write the CSV."""
    parser = argparse.ArgumentParser(description="Reading speed and memory of the Open Images data set.")
    parser.add_argument("folder", type=Path, help="where the generated file is, or will be")
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--repeats", type=int, default=3, help="processes; the median of their times is reported")
    parser.add_argument("--csv", type=Path, default=MICRO, help="where the numbers go")
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)  # what the measuring process is started with
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(*args.only)))
        return
    need("pyarrow", "mmpretrain")
    import pyarrow

    labels, classes = generate(args.folder, args.rows)
    runs = []
    for _ in range(args.repeats):
        command = [sys.executable, __file__, str(args.folder), "--only", str(labels), str(classes)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    seconds = statistics.median(run.pop("seconds") for run in runs)
    values = {
        "file_gb": round(labels.stat().st_size / 1e9, 2),
        **max(runs, key=lambda run: run["peak_rss_gb"]),
        "seconds": round(seconds, 2),
        "rows_per_second": round(args.rows / seconds),
    }
    for key, value in values.items():
        print(f"{key}: {value:,}" if isinstance(value, int) else f"{key}: {value}")
    versions = f"python {platform.python_version()}, numpy {np.__version__}, pyarrow {pyarrow.__version__}"
    conditions = dict(size=args.rows, threads=1, device=f"{platform.machine()} CPU, 1 core", versions=versions)
    write_micro(args.csv, "open_images", [(conditions, values)], replace=True)


if __name__ == "__main__":
    main()
