"""No training outlives its benchmark, and one folder has one benchmark at a time."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from commands import ROOT
from processes import Started

from asl_mmdet.runs.locks import locked

# In the place of tools/train.py: a "training" with a data worker, which both go on for ever.
TRAINING = """
import os, subprocess, sys
from pathlib import Path
worker = subprocess.Popen(["sleep", "1000"])
Path(sys.argv[0]).with_name(f"pids_{os.getpid()}").write_text(f"{os.getpid()} {worker.pid}")
worker.wait()
"""
BENCHMARK = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what nohup or a shell's background took away
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from pathlib import Path
from asl_mmdet.benchmark import Plan, run_plan
folder = Path(sys.argv[1])
run_plan(Plan.read(folder / "plan.py"), folder / "out", 2, [sys.executable, str(folder / "train.py")], [])
"""
PLAN = f"""
configs = dict(classifier="{ROOT}/configs/shapes/classifier_r18_asl_shapes.py")
losses = dict(asl=None, bce=dict(type="CrossEntropyLoss", use_sigmoid=True))
baseline = "bce"
seeds = (0,)
"""


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] != "Z"
    except FileNotFoundError:
        return False


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def benchmark(tmp_path):
    """A benchmark of two runs that has started both, and the processes of these."""
    (tmp_path / "train.py").write_text(TRAINING)
    (tmp_path / "plan.py").write_text(PLAN)
    (tmp_path / "run.py").write_text(BENCHMARK)
    started = Started(tmp_path / "run.py", tmp_path)
    process = started.process
    until(lambda: len(list(tmp_path.glob("pids_*"))) == 2)
    time.sleep(0.2)
    pids = [int(pid) for path in tmp_path.glob("pids_*") for pid in path.read_text().split()]
    yield process, pids
    for pid in (process.pid, *pids):
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
    process.join()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes by /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_the_trainings_and_their_workers_too(number, benchmark):
    process, pids = benchmark
    assert len(pids) == 4 and all(is_alive(pid) for pid in pids)
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode not in (None, 0)
    until(lambda: not any(is_alive(pid) for pid in pids), 10)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes by /proc")
def test_folder_is_held_by_a_benchmark_and_by_what_it_left_behind(benchmark, tmp_path):
    process, pids = benchmark
    with pytest.raises(BlockingIOError, match=f"out is in use: by process {process.pid} on "), locked(tmp_path / "out"):
        pass
    process.kill()
    process.join()
    assert all(is_alive(pid) for pid in pids)
    with pytest.raises(BlockingIOError, match="or by a run that it left behind"), locked(tmp_path / "out"):
        pass
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(is_alive(pid) for pid in pids), 10)
    with locked(tmp_path / "out") as file:  # a dead one's is taken over
        assert json.loads(Path(file.name).read_text(encoding="utf-8"))["pid"] == os.getpid()
