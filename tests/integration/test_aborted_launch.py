"""The launch scripts. Their processes are the first in this folder, as there is no memory for a server beside them."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import NO_WORKERS, ROOT, as_arguments, options_of
from processes import Started

from asl_mmdet.coco.shapes import make_shapes


@pytest.mark.parametrize("script", ["dist_train.sh", "dist_test.sh", "slurm_train.sh", "slurm_test.sh"])
def test_launch_scripts_without_arguments_show_their_usage(script):
    done = subprocess.run(["bash", ROOT / "tools" / script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"bash tools/{script} " in done.stderr


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def launch(script, *args, path=Path(sys.executable).parent):
    """The command of a launch script on two processes, and its variables."""
    env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "MASTER_PORT": free_port(), "OMP_NUM_THREADS": "1"}
    return dict(args=["bash", str(ROOT / "tools" / script), *map(str, args)], cwd=ROOT, env=env, text=True)


def start(script, *args, rank, of, port):
    """What ``torchrun`` starts, but forked."""
    env = dict(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=of, MASTER_ADDR="127.0.0.1", MASTER_PORT=port, OMP_NUM_THREADS=1)
    return Started(script, *args, "--launcher", "pytorch", **{name: str(value) for name, value in env.items()})


def test_launch_script_of_the_evaluation_starts_it_as_that_of_the_training_does(tmp_path):
    (tmp_path / "torchrun").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "torchrun").chmod(0o755)
    train, test = (
        subprocess.run(**launch(script, *args, "--x", path=tmp_path), capture_output=True, check=True).stdout.split()
        for script, *args in (("dist_train.sh", "CONFIG", 2), ("dist_test.sh", "CONFIG", "CHECKPOINT", 2))
    )
    assert [word for word in train[:5] if "port" not in word] == [word for word in test[:5] if "port" not in word]
    assert train[5:] == [f"{ROOT}/tools/train.py", "CONFIG", "--launcher", "pytorch", "--x"]
    assert test[5:] == [f"{ROOT}/tools/test.py", "CONFIG", "CHECKPOINT", "--launcher", "pytorch", "--x"]


@pytest.mark.slow
def test_launch_script_trains_and_dies_and_the_run_is_resumed_and_evaluated(tmp_path):
    """Two processes: the death of one ends the run, which resumes; its checkpoint is evaluated."""
    data = make_shapes(tmp_path / "shapes", num_train=16, num_val=8)
    short = {"train_cfg.max_epochs": 2, "default_hooks.logger.interval": 1, "train_dataloader.batch_size": 4}
    options = as_arguments(options_of(data, **short, **NO_WORKERS))
    config, work_dir = "configs/shapes/atss_r18_adaptive_shapes.py", tmp_path / "work"
    train = [config, "2", "--work-dir", work_dir]
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(**launch("dist_train.sh", *train, *options), stdout=subprocess.PIPE, stderr=errors)
        printed = ""
        for line in process.stdout:
            printed += line
            if "Epoch(train) [2][1/" in line or "Epoch(train)   [2][1/" in line:
                break
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        children = [int(pid) for pid in listed.read_text(encoding="utf-8").split()]
        assert len(children) >= 2
        os.kill(children[-1], signal.SIGKILL)
        killed = time.time()
        printed += process.stdout.read()
        assert process.wait(timeout=60) != 0
    assert time.time() - killed < 60
    said = (tmp_path / "errors").read_text()
    assert "SIGKILL" in said or "exitcode: -9" in said
    assert "OneDL" not in printed + said  # MMDetection prints at its import that this is not there
    again, port = [config, "--work-dir", work_dir, "--resume", *options], free_port()
    started = [start("tools/train.py", *again, rank=rank, of=2, port=port) for rank in (0, 1)]
    done, other = (process.finish() for process in started)
    assert done.returncode == other.returncode == 0, done.stderr[-3000:] + other.stderr[-3000:]
    assert "resuming from" in done.stderr and (work_dir / "epoch_2.pth").exists()
    assert "Epoch(val) [2][1/1]" in done.stdout and "GPU number: 2" in done.stdout
    test = [config, work_dir / "epoch_2.pth", "--work-dir", work_dir, *options]
    done = start("tools/test.py", *test, rank=0, of=1, port=free_port()).finish()
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Epoch(test) [1/1]" in done.stdout
    assert "Distributed launcher: pytorch" in done.stdout
    assert "GPU number: 1" in done.stdout  # the number of processes, as MMEngine calls it
