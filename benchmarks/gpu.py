"""Everything to try on a machine with a GPU, by one command: python benchmarks/gpu.py, or make gpu-check.

Each step runs in a process of its own and writes its CSV when it is done; one that fails is reported, and the others go
on. Called again, it does the steps that are left. ``report.md`` has all tables, ``environment.json`` the versions.
On a CPU, ``--device cpu --quick`` shows in a minute whether the steps run; its numbers mean nothing.
"""

import argparse
import csv
import importlib
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from gpu_steps import Settings

from asl_mmdet.benchmark import environment

STEPS = {  # in this order; the module of gpu_steps, and seconds after which it is given up
    "correctness": ("loss", 300),
    "synchronization": ("loss", 300),
    "speed": ("loss", 600),
    "graphs": ("loss", 120),
    "step": ("training", 600),
    "shapes": ("training", 1200),
    "resume": ("training", 600),
}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Check and measure the loss on a GPU.")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--quick", action="store_true", help="small inputs, to see whether everything runs")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/gpu"), help="folder of the results")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS), help="do only these")
    parser.add_argument("--again", action="store_true", help="do the steps that are done once more")
    parser.add_argument("--only", choices=list(STEPS), help=argparse.SUPPRESS)  # what a process of one step is told
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no GPU here; `--device cpu --quick` shows whether the steps run")
    args.out = args.out.absolute()
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Do the steps that are left, and write the report; end with 1 if one failed."""
    args = parse(argv)
    settings = Settings(args.device, args.quick, args.out)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.only:
        do_step(args.only, settings)
        return
    made = dict(environment(), device_argument=args.device, quick=args.quick)
    check_same_run(args.out / "environment.json", made)
    problems = []
    for name in args.steps:
        path = args.out / f"{name}.csv"
        if path.is_file() and not args.again:
            print(f"{name}: done before")
            continue
        path.unlink(missing_ok=True)
        start = time.perf_counter()
        error = attempt(name, settings)
        (args.out / f"{name}.error.txt").unlink(missing_ok=True)
        if error:
            (args.out / f"{name}.error.txt").write_text(error, encoding="utf-8")
            problems.append(name)
        print(f"{name}: {'FAILED' if error else 'done'} in {time.perf_counter() - start:.0f} s", flush=True)
    failed_rows = write_report(args.out, made)
    print(args.out / "report.md")
    if problems or failed_rows:
        raise SystemExit(f"error: failed steps: {', '.join(problems) or 'none'}; rows with passed=False: {failed_rows}")


def check_same_run(path: Path, made: dict[str, object]) -> None:
    """Keep results of another device or of a quick run apart; end with a message where they would mix."""
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        for key in ("device", "device_argument", "quick"):
            if before.get(key) != made[key]:
                raise SystemExit(
                    f"error: {path.parent} has results with {key}={before.get(key)!r}, and this is {made[key]!r}: name "
                    "another folder by --out"
                )
    path.write_text(json.dumps(made, indent=1, default=str) + "\n", encoding="utf-8")


def attempt(name: str, settings: Settings) -> str:
    """Do a step, on a GPU in a process of its own, since an error there can spoil all that follows; its error or ''."""
    if settings.device == "cpu":
        try:
            do_step(name, settings)
        except Exception:
            return traceback.format_exc()
        return ""
    command = [sys.executable, __file__, "--only", name, "--device", settings.device, "--out", str(settings.out)]
    command += ["--quick"] if settings.quick else []
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=STEPS[name][1])
    except subprocess.TimeoutExpired:
        return f"given up after {STEPS[name][1]} s"
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-20_000:]


def do_step(name: str, settings: Settings) -> None:
    """Write the rows of a step as they come, into a file that has its name at the end."""
    function = getattr(importlib.import_module(f"gpu_steps.{STEPS[name][0]}"), name)
    partial = settings.out / f"{name}.csv.partial"
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = None
        for row in function(settings):
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            writer.writerow(row)
            file.flush()
    partial.replace(settings.out / f"{name}.csv")


def write_report(out: Path, made: dict[str, object]) -> int:
    """All tables as Markdown; the number of rows that did not pass."""
    lines = ["# GPU check", "", f"{made['device']}, {made['versions']}, {made['date']}", ""]
    failed = 0
    for name in STEPS:
        error = out / f"{name}.error.txt"
        if not (out / f"{name}.csv").is_file():
            lines += [f"## {name}", "", "failed, see " + error.name if error.is_file() else "not done", ""]
            continue
        with (out / f"{name}.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        failed += sum(row.get("passed") == "False" for row in rows)
        lines += [f"## {name}", "", f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
        lines += [f"| {' | '.join(row.values())} |" for row in rows]
        lines.append("")
    (out / "report.md").write_text("\n".join(lines), encoding="utf-8")
    return failed


if __name__ == "__main__":
    main()
