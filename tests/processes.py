"""Commands in processes of their own, forked from one that has imported MMDetection: each saves ten seconds."""

import gc
import multiprocessing
import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["asl_mmdet.cli.train", "asl_mmdet.cli.test", "mmdet.models", "asl_mmdet.multilabel"])


def _run(args, cwd, env, out, err):
    gc.freeze()  # what the server imported stays
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.argv = args
    runpy.run_path(args[0], run_name="__main__")


class Started:
    """A running ``python SCRIPT ARGS``."""

    def __init__(self, *args, cwd=ROOT, **env):
        self.args = [str(arg) for arg in args]
        self._folder = tempfile.TemporaryDirectory()  # gone with this object
        self.out, self.err = (Path(self._folder.name) / name for name in ("out", "err"))
        self.out.touch()
        self.err.touch()
        options = (str(cwd), {**os.environ, **env}, str(self.out), str(self.err))
        self.process = _context.Process(target=_run, args=(self.args, *options))
        self.process.start()

    def wait_for(self, pattern, timeout=300):
        """Until the process has printed what the regular expression finds."""
        end = time.monotonic() + timeout
        while not re.search(pattern, self.out.read_text()):
            assert self.process.is_alive(), self.err.read_text()
            assert time.monotonic() < end
            time.sleep(0.02)

    def finish(self, timeout=600):
        """Wait for the end; what ``subprocess.run`` returns."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.kill()
            raise subprocess.TimeoutExpired(self.args, timeout)
        return subprocess.CompletedProcess(self.args, self.process.exitcode, self.out.read_text(), self.err.read_text())


def python(*args, cwd=ROOT, **env):
    """``python SCRIPT ARGS`` to its end."""
    return Started(*args, cwd=cwd, **env).finish()


def fork_trainings(monkeypatch):
    """Have what starts trainings by :class:`asl_mmdet.benchmark.processes.Processes` fork them; a list of their args.

    The class itself, with its groups and locks, is tested in ``test_benchmark_processes.py``.
    """
    from asl_mmdet.benchmark.processes import Processes

    started = []

    def run(self, command, log):
        assert command[0] == sys.executable
        started.append(command[1:])
        done = python(*command[1:])
        with log.open("a") as file:
            file.write(done.stdout + done.stderr)
        return done.returncode

    monkeypatch.setattr(Processes, "run", run)
    return started
