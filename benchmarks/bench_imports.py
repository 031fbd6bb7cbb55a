"""How long imports take: python benchmarks/bench_imports.py --csv benchmarks/micro.csv.

Each row is the median over new interpreters, which import one module and end. They take turns, so that a machine whose
speed drifts slows all of them; the first of each is not counted, since it reads the files from the disk.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tables import write_micro

MODULES = {
    "torch": "PyTorch alone",
    "asl_mmdet.losses.functional": "the functions",
    "asl_mmdet": "the plugin, as custom_imports names it",
    "mmdet.models": "MMDetection's models, with the plugin",
    "asl_mmdet.cli.train": "what tools/train.py imports before it reads a config",
}


def seconds(module: str) -> float:
    """Wall time of an interpreter that imports a module."""
    code = f"import asl_mmdet, {module}" if module == "mmdet.models" else f"import {module}"
    start = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure, print, and write the CSV."""
    parser = argparse.ArgumentParser(description="How long imports take.")
    parser.add_argument("--rounds", type=int, default=7, help="counted interpreters of every module")
    parser.add_argument("--csv", type=Path, help="write the rows to this file, instead of those of an earlier call")
    args = parser.parse_args()
    found: dict[str, list[float]] = {module: [] for module in MODULES}
    for _ in range(1 + args.rounds):
        for module, times in found.items():
            times.append(seconds(module))
    medians = {module: statistics.median(times[1:]) for module, times in found.items()}
    for module, median in medians.items():
        print(f"{median:6.2f} s  import {module}")
    if args.csv:
        rows = [
            (dict(case=f"{module} ({MODULES[module]})"), dict(seconds=f"{medians[module]:.2f}")) for module in MODULES
        ]
        write_micro(args.csv, "imports", rows, replace=True)


if __name__ == "__main__":
    main()
