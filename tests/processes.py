"""Commands in processes of their own, forked from one that has imported MMDetection: each saves ten seconds."""

import functools
import gc
import json
import multiprocessing
import multiprocessing.forkserver
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


def quick_configs():
    """MMEngine formats a config four times a run, and for each base of MMDetection's it reads a hundred YAML files."""
    from mmengine.config import Config, utils

    Config.__init__.__defaults__ = (*Config.__init__.__defaults__[:-1], False)  # format_python_code
    utils.load = functools.cache(utils.load)


def stop_servers():
    """End the processes that others are forked from; the next one starts them anew."""
    multiprocessing.forkserver._forkserver._stop()
    stop_torch_server()


def stop_torch_server():
    if _torch_server.cache_info().currsize:
        _torch_server().process.communicate()  # its input ends, and with that its loop
        _torch_server.cache_clear()


def _run(args, cwd, env, out, err):
    gc.freeze()  # what the server imported stays
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    quick_configs()
    sys.argv = args
    sys.path[:0] = [str(Path(args[0]).resolve().parent), *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
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


def fork_trainings(monkeypatch, really=None):
    """Have what starts trainings by :class:`asl_mmdet.runs.processes.Processes` fork them.

    A command that has an argument ending in ``really`` is started as ever. The class itself, with its groups and locks,
    is tested in ``test_benchmark_processes.py``.
    """
    from asl_mmdet.runs.processes import Processes

    start = Processes.run

    def run(self, command, log):
        assert command[0] == sys.executable
        if really and any(argument.endswith(really) for argument in command):
            return start(self, command, log)
        done = python(*command[1:])
        with log.open("a") as file:
            file.write(done.stdout + done.stderr)
        return done.returncode

    monkeypatch.setattr(Processes, "run", run)


class _Torch:
    """An interpreter that has imported PyTorch and nothing of OpenMMLab, and forks for every code."""

    SERVER = """
import json, os, sys, traceback
import torch, torchvision
for line in sys.stdin:
    code, cwd, out, err = json.loads(line)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for number, path in ((0, os.devnull), (1, out), (2, err)):
                os.dup2(os.open(path, os.O_RDWR), number)
            os.chdir(cwd)
            exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""

    def __init__(self):
        command = [sys.executable, "-c", self.SERVER]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, code, cwd):
        with tempfile.TemporaryDirectory() as folder:
            out, err = (Path(folder, name) for name in ("out", "err"))
            out.touch()
            err.touch()
            self.process.stdin.write(json.dumps([code, str(cwd), str(out), str(err)]) + "\n")
            self.process.stdin.flush()
            status = int(self.process.stdout.readline())
            return subprocess.CompletedProcess(["-c", code], status, out.read_text(), err.read_text())


@functools.cache
def _torch_server():
    return _Torch()


def python_with_torch(code, cwd=ROOT):
    """``python -c CODE`` where PyTorch, which takes most of the time, is imported already: for tests of imports."""
    return _torch_server().run(code, cwd)
