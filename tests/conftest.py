import ctypes
import gc
import importlib.util
import logging
import os
import sys
from pathlib import Path

# Tensors here are small: a second thread costs more than it gives, above all beside a second worker of pytest-xdist.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings
from processes import quick_configs

settings.register_profile("default", max_examples=300)
settings.register_profile("long", max_examples=20_000)
settings.load_profile("default")


_frozen_modules = 0


def _freeze_imports():
    """The garbage collector need not look at MMDetection's objects again: MMEngine's data sets call it each time."""
    global _frozen_modules
    if len(sys.modules) > _frozen_modules + 100:
        _frozen_modules = len(sys.modules)
        gc.collect()
        gc.freeze()


def pytest_configure(config):
    """Import MMDetection, but not in pytest-xdist's controller, which runs no test."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        return
    import asl_mmdet  # noqa: F401  (before mmdet.models, which needs mmcv.ops)

    if importlib.util.find_spec("mmengine"):  # without it there is torch alone
        quick_configs()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With ``--dist loadfile`` a file stays together, and one worker at a time starts processes, for their memory."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class IntegrationTogether(LoadFileScheduling):
        def _split_scope(self, nodeid):
            folder = "tests/integration/"
            return folder if nodeid.startswith(folder) else super()._split_scope(nodeid)

    return IntegrationTogether(config, log)


def pytest_collection_finish():
    _freeze_imports()


def _restore_default_scope():
    """MMEngine's default scope is one for the process: what a test or a file sets must not reach the next one."""
    registry = sys.modules.get("mmengine.registry")
    if registry is None:  # torch alone
        yield
        return
    before = registry.DefaultScope._instance_dict.copy()
    yield
    registry.DefaultScope._instance_dict = before


_scope_of_file = pytest.fixture(_restore_default_scope, autouse=True, scope="module")
_scope_of_test = pytest.fixture(_restore_default_scope, autouse=True)


@pytest.fixture(scope="module")
def mmdet_scope():
    """MMDetection's classes are registered, and found without their scope."""
    from mmdet.utils import register_all_modules

    register_all_modules()


@pytest.fixture
def logged():
    """What is logged by MMEngine, which keeps the stdout of its first use: pairs of a level and a text."""
    from mmengine.logging import MMLogger

    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append((record.levelname, record.getMessage()))
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


@pytest.fixture(autouse=True, scope="module")
def _stop_torch_server():
    """An interpreter that has imported PyTorch takes 0.4 GB: it ends with the file that needed it."""
    yield
    if processes := sys.modules.get("processes"):
        processes.stop_torch_server()


@pytest.fixture(autouse=True)
def _no_visualizer_of_before():
    """Two runs of the same second have one name, by which MMEngine would find the visualizer of the first."""
    yield
    if module := sys.modules.get("mmengine.visualization"):
        for kind in (module.Visualizer, *module.Visualizer.__subclasses__()):
            kind._instance_dict.clear()


def _resident():
    """The memory of this process in bytes, 0 where the system does not tell it so."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0


_kept = 700_000_000


@pytest.fixture(autouse=True)
def _return_memory():
    """Give what a large model took back to the system: two workers run beside trainings."""
    global _kept
    yield
    _freeze_imports()
    if _resident() > _kept + 200_000_000:  # not after every test: the next one pays for it
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        _kept = _resident()
