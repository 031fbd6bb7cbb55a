"""The stacks that the tests run on: ``nox -l`` lists them, ``make test-matrix`` runs them all.

A session makes its environment in ``.nox/`` the first time, from the pins in ``constraints/``, and uses it again after
that. Where the machine lacks its Python it is skipped, with that word; in CI it fails. What follows ``--`` goes to
pytest instead of the usual choice of tests: ``nox -s classic-3.11 -- tests/unit/test_training.py``.
"""

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"

OPEN_MMLAB = ("mmengine", "mmcv-lite", "mmdet", "mmpretrain", "setuptools")
MAINTAINED = ("onedl-mmengine", "onedl-mmcv", "onedl-mmdetection", "onedl-mmpretrain")
OPTIONAL = ("faster-coco-eval", "pyarrow", "timm")


def test_stack(session: nox.Session, packages: tuple[str, ...], *pins: str) -> None:
    """Install the packages beside ours, as a user has them, and run the fast tests and a training of each kind."""
    session.install(*pins, "torch", "torchvision", *packages, *OPTIONAL, "--editable", ".[test]")
    chosen = session.posargs or ("-m", "not slow or every_stack")
    session.run("python", "-c", "import yapf.yapflib.yapf_api")  # it writes its grammar once, not in two processes
    session.run("python", "-m", "pytest", "--numprocesses", "2", "--dist", "loadfile", *chosen)


@nox.session(python=False)
def current(session: nox.Session) -> None:
    """All tests on the stack of the extra ``full``, in the Makefile's own environment."""
    session.run("make", "test", external=True)


@nox.session(python=["3.10", "3.11"])
def classic(session: nox.Session) -> None:
    """MMDetection 3.3.0 with torch 2.1."""
    test_stack(session, OPEN_MMLAB, "--constraint", "constraints/classic.txt")


@nox.session(name="middle-2.4", python="3.11")
def middle_24(session: nox.Session) -> None:
    """MMDetection 3.3.0 with torch 2.4."""
    test_stack(session, OPEN_MMLAB, "--constraint", "constraints/middle-2.4.txt")


@nox.session(name="middle-2.6", python="3.12")
def middle_26(session: nox.Session) -> None:
    """MMDetection 3.3.0 with torch 2.6."""
    test_stack(session, OPEN_MMLAB, "--constraint", "constraints/middle-2.6.txt")


@nox.session(python="3.13")
def newest(session: nox.Session) -> None:
    """The newest releases of everything."""
    test_stack(session, MAINTAINED, "--upgrade")


@nox.session(name="torch-only", python="3.11")
def torch_only(session: nox.Session) -> None:
    """The pure functions, where there is no MMDetection."""
    session.install("--constraint", "constraints/torch-only.txt", "torch", "hypothesis", "pytest", "--editable", ".")
    tests = session.posargs or ("tests/unit/test_functional.py", "tests/unit/test_compiled.py")
    session.run("python", "-m", "pytest", *tests)
