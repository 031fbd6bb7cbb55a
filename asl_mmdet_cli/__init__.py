"""The command lines: options, help and what can be refused at once, with nothing but Python's standard library.

``import asl_mmdet`` registers losses and hooks, and so imports PyTorch and MMDetection, which takes seconds. That is
why this package is beside it and not in it: ``--help``, a wrong option and a missing file are answered before the
first import of :mod:`asl_mmdet`. What a command does is in the module of its name in :mod:`asl_mmdet.cli`.
"""

import argparse
import importlib
import io
import sys
from collections.abc import Sequence
from types import ModuleType

from asl_mmdet_cli.arguments import HelpFormatter, usage_of
from asl_mmdet_cli.messages import fail, learn_rank, without_foreign_line

# The subcommands of `asl-mmdet` and their scripts in tools/, in the order of the work.
COMMANDS = {
    "import": "import_dataset",
    "check-dataset": "check_dataset",
    "fix-annotations": "fix_annotations",
    "train": "train",
    "test": "test",
    "report": "report",
    "tune-loss": "tune_loss",
    "tune-thresholds": "tune_thresholds",
    "audit": "audit_labels",
    "predict": "predict",
    "export-onnx": "export_onnx",
    "benchmark": "benchmark",
    "drop-boxes": "drop_boxes",
    "merge-datasets": "merge_datasets",
    "make-shapes": "make_shapes",
    "convert-asl-checkpoint": "convert_asl_checkpoint",
}

# Those that run a model, whose memory on a CPU is better kept than given back.
KEEP_MEMORY = ("train", "test", "predict", "audit_labels", "tune_thresholds")


def parser_of(name: str, prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of a command, with its module's docstring as the explanation.

    Args:
        name: The name of its module and script.
        prog: How it was called, for the usage and the example; ``python tools/<name>.py`` by default.
    """
    module = _module_of(name)
    script = f"python tools/{name}.py"
    command = argparse.ArgumentParser(
        prog or script,
        description=(module.__doc__ or "").strip().replace(script, prog or script),
        formatter_class=HelpFormatter,
    )
    module.add_arguments(command)
    command.usage = usage_of(command)
    return command


def parse(name: str, argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read a command line, and end the program if it cannot be followed."""
    command = parser_of(name, prog)
    args = command.parse_args(argv)
    learn_rank(getattr(args, "launcher", None))
    _module_of(name).check(command, args)
    return args


def run(name: str, argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Be a command, for the rest of this process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a file may have a name that is no UTF-8
    args = parse(name, argv, prog)
    import asl_mmdet  # noqa: F401  (it says what to install where MMEngine is missing)

    if name in KEEP_MEMORY:
        from asl_mmdet.compat.allocator import keep_memory

        keep_memory()  # not in work(): it lasts as long as the process
    with without_foreign_line():
        work(name, args)


def work(name: str, args: argparse.Namespace) -> None:
    """Do what a command line says; what a user can mend ends the program with a message."""
    from asl_mmdet.errors import UserError

    try:
        importlib.import_module(f"asl_mmdet.cli.{name}").main(args)
    except (UserError, BlockingIOError) as error:  # BlockingIOError: another program holds the folder
        fail(str(error))


def main(argv: Sequence[str] | None = None) -> None:
    """The installed command: ``asl-mmdet COMMAND [options]``."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in COMMANDS:
        run(COMMANDS[argv[0]], argv[1:], f"asl-mmdet {argv[0]}")
        return
    overview = argparse.ArgumentParser("asl-mmdet", description="Asymmetric Loss for MMDetection 3.x: the commands.")
    commands = overview.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command, name in COMMANDS.items():
        commands.add_parser(command, help=summary(name), add_help=False)
    overview.epilog = "asl-mmdet COMMAND --help explains a command."
    overview.parse_args(argv)


def summary(name: str) -> str:
    """The first line of a command's explanation."""
    return (_module_of(name).__doc__ or "").partition("\n")[0].rstrip(".")


def _module_of(name: str) -> ModuleType:
    return importlib.import_module(f"asl_mmdet_cli.{name}")
