"""Arguments that commands share, the types of their values, and how the help shows them."""

import argparse
import os
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

RULE = re.compile(r'\bRule\(\s*"([A-Z]\d{3})"')


class HelpFormatter(argparse.HelpFormatter):
    """Paragraphs stay paragraphs, examples are not wrapped, and defaults that say something are shown."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n\n".join(p if "\n    " in p else fill(p, width, indent) for p in text.split("\n\n"))

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default = action.default
        if action.nargs == 0 or default in (None, "", argparse.SUPPRESS) or default == [] or not action.help:
            return action.help
        shown = " ".join(map(str, default)) if isinstance(default, (list, tuple)) else str(default)
        return f"{action.help} (default: {shown.replace('%', '%%')})"

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        return re.sub(r"^(\S+) \[\1 \.\.\.\]$", r"\1 ...", super()._format_args(action, default_metavar))


def usage_of(command: argparse.ArgumentParser) -> str:
    """What has to be given; the help lists the options below it."""
    forms = {"?": "[{}]", "+": "{} ..."}
    shown = [action for action in command._actions if action.help != argparse.SUPPRESS]
    words = [forms.get(str(one.nargs), "{}").format(one.metavar) for one in shown if not one.option_strings]
    required = [one for one in shown if one.option_strings and (one.help or "").endswith("; required")]
    words += [f"{one.option_strings[0]} {one.metavar}" for one in required]
    return " ".join([command.prog, *words, "[options]"])


def number(interval: str) -> Callable[[str], float]:
    """The type of a number in an interval, such as '(0, 1]'."""
    low, high = map(float, interval[1:-1].split(","))

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if (low < value or (low == value and interval[0] == "[")) and (
            value < high or (value == high and interval[-1] == "]")
        ):
            return value
        raise argparse.ArgumentTypeError(f"use a number in {interval}, not {text}")

    return read


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """The type of a whole number from ``low`` on, up to ``high``."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if low <= value and (high is None or value <= high):
            return value
        to = "" if high is None else f" to {high}"
        raise argparse.ArgumentTypeError(f"use a whole number from {low}{to}, not {text}")

    return read


def file_ending_in(*suffixes: str) -> Callable[[str], Path]:
    """The type of a file to write."""

    def read(text: str) -> Path:
        path = Path(text)
        if path.suffix not in suffixes:
            raise argparse.ArgumentTypeError(f"{text}: the file must end in {' or '.join(suffixes)}")
        _check_place(path.absolute().parent, text)
        return path

    return read


def folder_to_write(text: str) -> Path:
    """The type of a folder to write."""
    path = Path(text)
    _check_place(path.absolute(), text)
    return path


def _check_place(folder: Path, text: str) -> None:
    """Refuse now, not after hours, what cannot be written."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f"{text} cannot be written: {there} is a file, not a folder")
    if not os.access(there, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} cannot be written: {there} is read-only")


def key_and_value(text: str) -> str:
    """The type of an option of the config; its value is read by MMEngine."""
    if not text.partition("=")[0].strip() or "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    if any(text.count(left) != text.count(right) for left, right in ("()", "[]")):
        raise argparse.ArgumentTypeError(f"{text!r} has a bracket without its other half")
    return text


def rule_codes() -> list[str]:
    """The codes of all rules, as the source has them: importing the rules takes seconds."""
    spec = find_spec("asl_mmdet")
    folders = spec.submodule_search_locations if spec else None
    files = [file for folder in folders or () for file in Path(folder, "checks").glob("*.py")]
    return sorted({code for file in files for code in RULE.findall(file.read_text(encoding="utf-8"))})


def rule_code(text: str) -> str:
    """The type of a code of a rule."""
    if text not in (codes := rule_codes()):
        raise argparse.ArgumentTypeError(f"there is no rule {text}; there are {', '.join(codes)}")
    return text


def add_config(command: argparse.ArgumentParser, what: str = "config file") -> None:
    """The config."""
    command.add_argument("config", metavar="CONFIG", help=what)


def add_cfg_options(command: argparse.ArgumentParser) -> None:
    """The option that changes keys of the config."""
    command.add_argument(
        "--cfg-options",
        nargs="+",
        action="extend",
        type=key_and_value,
        metavar="KEY=VALUE",
        help="change keys of the config: a.b=1 c=x,y d='[(1,2),(3,4)]' (no white space in a value)",
    )
    command.set_defaults(work_dir=None, launcher="none", local_rank=0)  # what load_config reads


def add_checkpoint(command: argparse.ArgumentParser, what: str = "checkpoint file") -> None:
    """The checkpoint."""
    command.add_argument("checkpoint", metavar="CHECKPOINT", help=what)


def add_runner_options(command: argparse.ArgumentParser) -> None:
    """The other options that MMDetection's train and test scripts have in common."""
    command.add_argument(
        "--work-dir",
        type=folder_to_write,
        metavar="FOLDER",
        help="where logs and checkpoints go; the config's work_dir, else work_dirs/<name of the config>, by default",
    )
    add_cfg_options(command)
    command.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="job launcher")
    command.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def add_ignore(command: argparse.ArgumentParser) -> None:
    """The option that drops findings."""
    command.add_argument(
        "--ignore",
        action="append",
        default=[],
        type=rule_code,
        metavar="CODE",
        help="leave out what the rule with this code finds, such as D411; may be repeated",
    )


def add_out(command: argparse.ArgumentParser, read: Callable[[str], Path], **option: Any) -> None:
    """What a command writes: ``--out OUT``, or OUT as the last argument."""
    command.add_argument("--out", type=read, **option)
    command.add_argument(
        "out",
        nargs="?",
        type=lambda text: text if text is argparse.SUPPRESS else read(text),
        metavar="OUT",
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )


def add_out_file(command: argparse.ArgumentParser, suffix: str, what: str) -> None:
    """The one file that a command writes."""
    add_out(command, file_ending_in(suffix), metavar=f"FILE{suffix}", help=f"{what}; required")
    command.add_argument("--force", action="store_true", help="overwrite the file if it exists")


def add_jobs(command: argparse.ArgumentParser, what: str) -> None:
    """How many trainings run at a time."""
    command.add_argument("--jobs", type=whole(1), default=1, metavar="N", help=what)
