"""Time and memory of the loss against other losses: python benchmarks/bench_loss.py --csv benchmarks/bench_loss.csv.

There are two states of the memory allocator. "Warm" is a process that keeps its memory (WARM below). All
implementations take turns in one, so that a machine whose speed drifts slows all of them. In a fresh process glibc
gives large temporaries back to the system, and every call gets them anew, at the price of a page fault for 4 KB. There
every implementation has a process of its own, and a ratio of two is less certain. Wall time, CPU time and page faults
are counted; medians are reported.

What else the machine does belongs to a timing: ``--threads 2 --busy 2 --low-priority`` measures beside two processes
that compute and a training of low priority, on two threads, in a process that keeps its memory. ``--add`` adds such
rows to the file, and prints the median and the worst call.

``--sizes`` and ``--losses`` choose some. On a GPU: ``--device cuda``. Peers that are packages are left out where they
are missing (timm, mmpretrain). Peers get labels of the logits' shape made beforehand, except MMDetection's focal loss
and ours, which take class indices as heads give them.
"""

import argparse
import csv
import datetime
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import busy
import torch
import torch.nn.functional as F
import torchvision
from tables import append_csv, write_csv
from torch import Tensor, nn

from asl_mmdet.losses import asymmetric_loss

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits, labels of their shape, class indices (or labels again)

# Two images of 800 x 1344 at strides 8 to 128. FCOS and ATSS: one prior a cell; RetinaNet: nine, a call per level.
CELLS = [2 * h * w for h, w in ((100, 168), (50, 84), (25, 42), (13, 21), (7, 11))]
SIZES: dict[str, tuple[list[int], int, bool]] = {  # the rows of every call, the classes, whether several labels hold
    "FCOS, ATSS: 44,800 x 80": ([sum(CELLS)], 80, False),
    "RetinaNet: 403,200 x 80 by level": ([9 * cells for cells in CELLS], 80, False),
    "Open Images: 128 x 9,605": ([128], 9605, True),
    "COCO multi-label: 128 x 80": ([128], 80, True),
}
STATES = ("start", "trained", "mean -4, deviation 2", "uniform in -10..10")  # of the logits
LARGE_STATES = ("trained", "mean -4, deviation 2")  # of a size with a call per level, which takes a second
WARM = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**33), "MALLOC_TOP_PAD_": str(2**30)}
ALLOCATORS: dict[str, dict[str, str]] = {"warm": WARM, "fresh": {}}
KEYS = ("size", "logits", "parameters", "allocator", "loss")
LIMIT = "limit: (x * 1).sum()"
PARAMETERS = {  # gamma+, gamma-, margin, alpha
    "1/2": dict(gamma_pos=1, gamma_neg=2, clip=0.0, alpha=0.25),
    "0/4, m 0.05": dict(gamma_pos=0, gamma_neg=4, clip=0.05, alpha=None),
}


class AuthorsLoss(nn.Module):
    """The steps of the authors' AsymmetricLoss: probabilities, a clamped log, a power with a tensor exponent.

    With ``in_place``, as in their AsymmetricLossOptimized, the buffers are kept and reused from call to call.
    """

    def __init__(self, in_place: bool, gamma_pos: float, gamma_neg: float, clip: float, alpha: float | None) -> None:
        super().__init__()
        self.in_place, self.gamma_pos, self.gamma_neg, self.clip = in_place, gamma_pos, gamma_neg, clip

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        """The negated sum over all elements."""
        pos = logits.sigmoid()
        if self.in_place:
            self.not_y = 1 - y
            self.neg = 1.0 - pos
            if self.clip:
                self.neg.add_(self.clip).clamp_(max=1)
            self.loss = y * pos.clamp(min=1e-8).log()
            self.loss.add_(self.not_y * self.neg.clamp(min=1e-8).log())
            with torch.no_grad():
                pt = pos * y + self.neg * self.not_y
                self.focus = torch.pow(1 - pt, self.gamma_pos * y + self.gamma_neg * self.not_y)
            self.loss *= self.focus
            return -self.loss.sum()
        neg = 1 - pos
        if self.clip:
            neg = (neg + self.clip).clamp(max=1)
        loss = y * pos.clamp(min=1e-8).log() + (1 - y) * neg.clamp(min=1e-8).log()
        with torch.no_grad():
            pt = pos * y + neg * (1 - y)
            focus = torch.pow(1 - pt, self.gamma_pos * y + self.gamma_neg * (1 - y))
        return -(loss * focus).sum()


def implementations(parameters: dict[str, Any]) -> dict[str, Loss]:
    """Ours and the peers, as functions of logits, labels of their shape, and class indices."""
    from mmdet.models.losses import FocalLoss

    def ours(impl: str, **more: float) -> Loss:
        return lambda z, y, index: asymmetric_loss(z, index, impl=impl, reduction="sum", **parameters, **more)

    focal = FocalLoss(gamma=2.0, alpha=0.25, reduction="sum")
    losses: dict[str, Loss] = {
        "ours, eager": ours("eager"),
        "ours, eager, ignore_above 0.3": ours("eager", ignore_above=0.3),
        "ours, eager, labels (N, C)": lambda z, y, index: asymmetric_loss(z, y, reduction="sum", **parameters),
        "ours, compile": ours("compile"),
        "mmdet FocalLoss": lambda z, y, index: focal(z, index),
        "torchvision sigmoid_focal_loss": lambda z, y, index: torchvision.ops.sigmoid_focal_loss(z, y, reduction="sum"),
        "BCE with logits": lambda z, y, index: F.binary_cross_entropy_with_logits(z, y, reduction="sum"),
        LIMIT: lambda z, y, index: (z * 1).sum(),
    }
    public: dict[str, nn.Module] = {
        "authors' AsymmetricLoss": AuthorsLoss(False, **parameters),
        "authors' AsymmetricLossOptimized": AuthorsLoss(True, **parameters),
    }
    gammas = dict(gamma_pos=parameters["gamma_pos"], gamma_neg=parameters["gamma_neg"], clip=parameters["clip"])
    try:
        from timm.loss import AsymmetricLossMultiLabel

        public["timm AsymmetricLossMultiLabel"] = AsymmetricLossMultiLabel(reduction="sum", **gammas)
    except ImportError:
        print("timm is not installed: left out")
    try:
        from mmpretrain.models.losses import AsymmetricLoss

        public["mmpretrain AsymmetricLoss"] = AsymmetricLoss(reduction="sum", **gammas)
    except ImportError:
        print("mmpretrain is not installed: left out")
    for name, module in public.items():
        losses[name] = lambda z, y, index, module=module: module(z, y)  # type: ignore[misc]
    return losses


def make_inputs(
    rows: list[int], classes: int, multi: bool, state: str, device: str
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Logits, labels of their shape, and what ours takes; a row in 150 (multi-label: 3 labels a row) is positive."""
    generator = torch.Generator().manual_seed(0)
    calls = []
    for n in rows:
        y = torch.zeros(n, classes + 1)
        number = 3 if multi else 1
        index = torch.randint(0, classes, (n, number), generator=generator)
        if not multi:
            index[torch.rand(n, generator=generator) > 1 / 150] = classes
        y.scatter_(1, index, 1)
        y = y[:, :classes].contiguous()
        noise = torch.randn(n, classes, generator=generator)
        if state == "start":
            logits = -4.6 + 0.1 * noise  # p = 0.01
        elif state == "trained":
            logits = -6 + 1.5 * noise + 7 * y
        elif state == "mean -4, deviation 2":
            logits = -4 + 2 * noise
        else:
            logits = 20 * torch.rand(n, classes, generator=generator) - 10
        logits = logits.to(device).requires_grad_()
        calls.append((logits, y.to(device), y.to(device) if multi else index.squeeze(1).to(device)))
    return calls


def synchronize(device: str) -> None:
    """Wait for the accelerator."""
    if device == "cuda":
        torch.cuda.synchronize()


def forward_backward(loss: Loss, calls: list[tuple[Tensor, Tensor, Tensor]]) -> None:
    """The value and the gradients, all calls before the backward pass as in a detector."""
    for logits, _, _ in calls:
        logits.grad = None
    sum(loss(*call) for call in calls).backward()  # type: ignore[union-attr]


def peak_extra_memory(loss: Loss, calls: list[tuple[Tensor, Tensor, Tensor]], device: str) -> float:
    """The peak of what forward and backward allocate beyond the gradient, in units of the logits' size."""
    size = sum(logits.numel() * logits.element_size() for logits, _, _ in calls)
    for logits, _, _ in calls:
        logits.grad = None
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        forward_backward(loss, calls)
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / size - 1
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        forward_backward(loss, calls)
    changes = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    in_use = peak = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        in_use += event.nbytes()
        peak = max(peak, in_use)
    return peak / size - 1


def print_table(path: Path) -> None:
    """The CSV as Markdown: CPU ms of forward and backward (and times ours, eager), page faults, peak extra memory."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if "allocator" not in rows[0]:
        raise SystemExit(f"error: {path} is of an earlier version, without the allocator's state: measure again")
    found = {tuple(row[key] for key in KEYS): row for row in rows}
    cases = list(dict.fromkeys(key[:-1] for key in found))
    print(f"{rows[0]['device']}, torch {rows[0]['torch']}, {rows[0]['date']}\n")
    names = list(dict.fromkeys(row["loss"] for row in rows))
    for parameters in PARAMETERS:
        shown = [case for case in cases if case[2] == parameters]
        print(
            f"**{parameters}**\n\n| | "
            + " | ".join(f"{size}, {state}, {allocator}" for size, state, _, allocator in shown)
            + " |"
        )
        print("|---" * (len(shown) + 1) + "|")
        for name in names:
            cells = []
            for case in shown:
                row, ours = found[(*case, name)], found[(*case, "ours, eager")]
                ratio = float(row["forward_backward_cpu_ms"]) / float(ours["forward_backward_cpu_ms"])
                numbers = f"{row['page_faults']}, {row['peak_extra_memory']}"
                cells.append(f"{float(row['forward_backward_cpu_ms']):.3g} ({ratio:.1f}x), {numbers}")
            print(f"| {name} | " + " | ".join(cells) + " |")
        print()


def page_faults() -> int:
    """Of this process so far, without those that read a file."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def timed(loss: Loss, calls: list[tuple[Tensor, Tensor, Tensor]], device: str) -> dict[str, float]:
    """Seconds and page faults of one forward and backward."""
    synchronize(device)
    start, cpu, faults = time.perf_counter(), time.process_time(), page_faults()
    forward_backward(loss, calls)
    synchronize(device)
    return dict(
        forward_backward=time.perf_counter() - start,
        forward_backward_cpu=time.process_time() - cpu,
        page_faults=page_faults() - faults,
    )


def measure(names: list[str], sizes: str, states: list[str], rounds: int, device: str) -> list[dict[str, Any]]:
    """All cases; the implementations take turns."""
    rows = []
    for size, (calls_rows, classes, multi) in SIZES.items():
        for state in (STATES if len(calls_rows) == 1 else LARGE_STATES) if sizes in size else ():
            if states and state not in states:
                continue
            calls = make_inputs(calls_rows, classes, multi, state, device)
            for parameters_name, parameters in PARAMETERS.items():
                losses = {name: loss for name, loss in implementations(parameters).items() if name in names}
                found: dict[str, list[dict[str, float]]] = {name: [] for name in losses}
                for _ in range(2 + rounds):
                    for name, loss in losses.items():
                        found[name].append(timed(loss, calls, device))
                for name, loss in losses.items():
                    rows.append(
                        {
                            "size": size,
                            "logits": state,
                            "parameters": parameters_name,
                            "loss": name,
                            "peak_extra_memory": round(peak_extra_memory(loss, calls, device), 2),
                            "counted": found[name][2:],
                        }
                    )
    return rows


def main() -> None:
    """Run all processes and write the CSV, or print one."""
    parser = argparse.ArgumentParser(description="Time and memory of the loss against other losses.")
    parser.add_argument("--table", type=Path, metavar="CSV", help="print this file as Markdown and run nothing")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of every case in a process")
    parser.add_argument("--repeats", type=int, default=1, help="processes of every kind")
    parser.add_argument("--csv", type=Path, help="write the rows to this file")
    parser.add_argument("--sizes", default="", metavar="TEXT", help="only sizes with this in their name")
    parser.add_argument("--losses", nargs="+", metavar="NAME", help="only these implementations")
    parser.add_argument("--logits", nargs="+", default=[], choices=STATES, metavar="STATE", help="only these logits")
    parser.add_argument("--add", action="store_true", help="add to the CSV instead of writing it anew")
    busy.add_arguments(parser)
    parser.add_argument("--only", nargs="+", help=argparse.SUPPRESS)  # what a process that measures is started with
    args = parser.parse_args()
    if args.table:
        if not args.table.is_file():
            raise SystemExit(f"error: there is no {args.table}. First run: python {__file__} --csv {args.table}")
        print_table(args.table)
        return
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.only:
        print(json.dumps(measure(args.only, args.sizes, args.logits, args.rounds, args.device)))
        return
    name = torch.cuda.get_device_name() if args.device == "cuda" else f"{platform.machine()} CPU"
    conditions = {
        "device": f"{name}, {torch.get_num_threads()} threads",
        **(busy.state(args) if args.add else {}),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }
    rows = [{**row, **conditions} for row in run_processes(args)]
    if args.csv:
        (append_csv if args.add else write_csv)(args.csv, rows)


def run_processes(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a case: medians over all processes, and with ``--add`` the worst call."""
    names = args.losses or list(implementations(PARAMETERS["1/2"]))
    processes = [("warm", names), *(("fresh", [name]) for name in names if not args.add)]
    merged: dict[tuple[str, ...], dict[str, Any]] = {}
    for repeat, (allocator, group) in itertools.product(range(args.repeats), processes):
        print(f"repeat {repeat + 1} of {args.repeats}: {allocator}, {', '.join(group)}", flush=True)
        command = [sys.executable, __file__, "--device", args.device, "--rounds", str(args.rounds)]
        command += ["--sizes", args.sizes, "--threads", str(torch.get_num_threads())]
        command += [*(["--logits", *args.logits] if args.logits else []), "--only", *group]
        environment = {**os.environ, **ALLOCATORS[allocator]}
        with busy.beside(args):
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        for row in json.loads(done.stdout.splitlines()[-1]):
            row["allocator"] = allocator
            counted = row.pop("counted")
            merged.setdefault(tuple(row[key] for key in KEYS), {**row, "counted": []})["counted"] += counted
    rows = []
    for row in merged.values():
        counted = row.pop("counted")
        median = {name: statistics.median(call[name] for call in counted) for name in counted[0]}
        faults = median.pop("page_faults")
        milliseconds = {f"{part}_ms": round(1e3 * seconds, 3) for part, seconds in median.items()}
        if args.add:
            milliseconds["worst_ms"] = round(1e3 * max(call["forward_backward"] for call in counted), 3)
            print(
                ", ".join(f"{row[key]}" for key in KEYS),
                *(milliseconds[k] for k in ("forward_backward_ms", "worst_ms")),
            )
        rows.append({**row, "page_faults": faults, **milliseconds})
    return rows


if __name__ == "__main__":
    main()
