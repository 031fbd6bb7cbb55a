"""Kill a training run again and again, resume it, and compare its end with that of an undisturbed run.

    python benchmarks/kill_and_resume.py configs/shapes/atss_r18_asl_shapes.py --kills 10

Both runs have the config's seed and train on a little data that is made on the spot. SIGKILL comes at random, in turn
during training, during evaluation and while a checkpoint is written. The weights, the metrics and every logged loss
must be equal; on a CPU they are so to the last bit.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from mmengine.config import Config

from asl_mmdet.cli.common import fail, need_config
from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.compat.checkpoints import load_checkpoint
from asl_mmdet.runs.logs import read_log

ROOT = Path(__file__).parents[1]
PHASES = {  # what the log says right before
    "training": r"Epoch\(train\)",
    "a checkpoint": r"Saving checkpoint",
    "evaluation": r"Saving checkpoint",  # which comes right before it
}


def write_config(path: Path, base: Path, data: Path, epochs: int) -> None:
    """A config of a short run on ``data``."""
    lines = [f"_base_ = {str(base)!r}", f"train_cfg = dict(max_epochs={epochs})", "default_hooks = dict("]
    lines += ["    logger=dict(interval=1), checkpoint=dict(max_keep_ckpts=3),", ")"]
    lines += [
        f"{part}_dataloader = dict(dataset=dict(data_root={str(data) + '/'!r}))" for part in ("train", "val", "test")
    ]
    if "ann_file" in Config.fromfile(base).val_evaluator:
        lines += [
            f"val_evaluator = dict(ann_file={str(data / 'annotations/val.json')!r})",
            "test_evaluator = val_evaluator",
        ]
    path.write_text("\n".join(lines), encoding="utf-8")


def start(config: Path, work_dir: Path) -> "subprocess.Popen[str]":
    """Start or resume the run."""
    command = [sys.executable, ROOT / "tools" / "train.py", config, "--work-dir", work_dir, "--resume"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: "subprocess.Popen[str]", output: str = "") -> None:
    """Wait for its end, which must be a good one; ``output`` is what was read of it before."""
    output += process.communicate()[0]
    if process.returncode:
        fail(f"the run did not go on:\n{output[-3000:]}")


def kill_in(process: "subprocess.Popen[str]", phase: str, rng: random.Random) -> bool:
    """Kill it in that phase; False if it has ended before."""
    assert process.stdout
    lines_to_pass = rng.randrange(1, 5) if phase == "training" else 1
    output = []
    for line in process.stdout:
        output.append(line)
        lines_to_pass -= bool(re.search(PHASES[phase], line))
        if lines_to_pass == 0:
            time.sleep({"training": rng.uniform(0, 0.3), "a checkpoint": rng.uniform(0, 0.05)}.get(phase, 0.4))
            process.kill()
            process.communicate()
            return True
    finish(process, "".join(output))
    return False


def differences(ours: Path, theirs: Path, epochs: int) -> list[str]:
    """What is not equal at the end of two runs."""
    a, b = (load_checkpoint(str(work_dir / f"epoch_{epochs}.pth"))["state_dict"] for work_dir in (ours, theirs))
    found = [f"weights: {name}" for name in a if not torch.equal(a[name], b[name])]
    for part, name in zip(zip(read_log(ours), read_log(theirs), strict=True), ("training", "evaluation"), strict=True):
        rows = [
            {step: {k: v for k, v in row.items() if "time" not in k and k != "memory"} for step, row in log.items()}
            for log in part
        ]
        found += [f"{name}, step {step}" for step, row in rows[1].items() if str(rows[0].get(step)) != str(row)]
    return found


def main() -> None:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description="Kill a run again and again, resume it, and compare its end.")
    parser.add_argument("config", type=Path, help="a config of configs/shapes")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--images", type=int, default=192, help="training images")
    parser.add_argument("--seed", type=int, default=0, help="seed of the times of death")
    args = parser.parse_args()
    need_config(args.config)
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_shapes(folder / "shapes", num_train=args.images, num_val=32)
        config = folder / "config.py"
        write_config(config, args.config.resolve(), data, args.epochs)
        finish(start(config, folder / "whole"))
        for i in range(args.kills):
            phase = list(PHASES)[i % len(PHASES)]
            if not kill_in(start(config, folder / "killed"), phase, rng):
                fail(f"the run had ended after {i} kills: give it more --epochs or --images")
            checkpoints = sorted(path.name for path in (folder / "killed").glob("*.pth"))
            print(f"killed during {phase}; checkpoints: {', '.join(checkpoints) or 'none'}", flush=True)
            time.sleep(1)  # MMEngine names the folder of a log by the second
        finish(start(config, folder / "killed"))
        found = differences(folder / "killed", folder / "whole", args.epochs)
    if found:
        fail(f"after {args.kills} kills {len(found)} things differ: {', '.join(found[:5])}")
    print(f"{args.config}: {args.kills} kills, and the end equals that of the undisturbed run")


if __name__ == "__main__":
    main()
