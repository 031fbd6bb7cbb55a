"""The Reference pages: the options of the tools, the keys of a config, the codes of the checks."""

import argparse
import inspect
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import griffe
import mmdet.registry
import mmengine.registry
import mmpretrain.registry
from mmengine.registry import Registry

import asl_mmdet.known_classes  # noqa: F401  (it registers, as the next one)
import asl_mmdet.multilabel  # noqa: F401
import asl_mmdet.run
from asl_mmdet.checks.rules import RULES
from asl_mmdet_cli import COMMANDS, parser_of

ROOT = Path(__file__).parents[1]
KINDS = {
    "loss": "Losses",
    "model": "Models",
    "dataset": "Data sets",
    "metric": "Metrics",
    "hook": "Hooks",
    "optim_wrapper": "Optimizer wrappers",
}


def tools() -> str:
    """Every command with its options, from its parser."""
    parts = []
    for command, name in COMMANDS.items():
        parser = parser_of(name)
        summary, *paragraphs, example = (parser.description or "").split("\n\n")
        usage = re.sub(r"\n +", "\n    ", parser.format_usage().removeprefix("usage: ").strip())
        parts += [f"## {name}", f"{_roles(summary)} Also: `asl-mmdet {command}`.", f"```text\n{usage}\n```"]
        parts += [*map(_roles, paragraphs), f"```console\n$ {example.partition(':')[2].strip()}\n```"]
        rows = [_option(action) for action in parser._actions if action.help != argparse.SUPPRESS]
        parts.append(_table(("argument", "default", "meaning"), [row for row in rows if row[0] != "`-h`, `--help`"]))
    return "\n\n".join([*parts, *_shell_scripts(), "## asl_mmdet.run", _roles(inspect.getdoc(asl_mmdet.run) or "")])


def _shell_scripts() -> Iterator[str]:
    """The shell scripts, with the comment that each begins with."""
    for path in sorted((ROOT / "tools").glob("*.sh")):
        comment = itertools.takewhile(lambda line: line.startswith("#"), path.read_text("utf-8").splitlines()[1:])
        lines = [line.removeprefix("#").removeprefix(" ") for line in comment]
        yield f"## {path.name}"
        for is_command, part in itertools.groupby(lines, lambda line: line.startswith(" ")):
            text = "\n".join(line.strip() for line in part)
            yield f"```console\n{text}\n```" if is_command else text


def _option(action: argparse.Action) -> tuple[str, str, str]:
    """A row of the table."""
    metavar = action.metavar or (action.dest.upper() if action.option_strings else "")
    value = "" if action.nargs == 0 else metavar if isinstance(metavar, str) else " ".join(metavar)
    names = ", ".join(f"`{name}{' ' * bool(value)}{value}`" for name in action.option_strings)
    choices = [str(one) for one in action.choices or ()]
    text = action.help or ""
    if choices and len(choices) < 10:
        text += f" ({', '.join(f'`{one}`' for one in choices)})"
    is_plain = action.nargs == 0 or (action.default in (None, argparse.SUPPRESS, "", []) and action.default != 0)
    values = action.default if isinstance(action.default, list) else [action.default]
    default = "" if is_plain else f"`{' '.join(map(str, values))}`"
    return names or f"`{value}`", default, _roles(text % {"default": action.default, "prog": ""})


def keys() -> str:
    """What a config can name by ``type``, with the arguments of each, from the docstrings."""
    parts = []
    for kind, title in KINDS.items():
        found = {name: cls for one, name, cls in _registered() if one == kind}
        parts += [f"## {title}"] * bool(found)
        for name, cls in sorted(found.items()):
            parts += [f"### {name}", _entry(cls)]
    return "\n\n".join(parts)


def _registered() -> Iterator[tuple[str, str, type]]:
    """The kind, name and class of what this project registers."""
    seen = set()
    for module in (mmdet.registry, mmpretrain.registry, mmengine.registry):
        for registry in vars(module).values():
            if not isinstance(registry, Registry):
                continue
            for name, cls in registry.module_dict.items():
                if getattr(cls, "__module__", "").startswith("asl_mmdet") and cls not in seen:
                    seen.add(cls)
                    kind = registry.name.replace(" ", "_")
                    yield "loss" if name.endswith("Loss") else kind, name, cls


def _entry(cls: type) -> str:
    """The first paragraph of the docstring of a class, and the table of its arguments."""
    docstring = griffe.Docstring(inspect.getdoc(cls) or "")
    parameters = inspect.signature(cls).parameters
    meaning = {}
    for section in docstring.parse("google", warnings=False):
        if section.kind is griffe.DocstringSectionKind.parameters:
            meaning = {one.name: one.description for one in section.value}
    rows = []
    for name, text in meaning.items():
        one = parameters.get(name)
        has_default = one is not None and one.default is not inspect.Parameter.empty
        rows.append((f"`{name}`", f"`{one.default!r}`" if one and has_default else "", _roles(text)))
    summary = _roles(docstring.value.partition("\n\n")[0].replace("\n", " "))
    return f"{summary}\n\n*`{cls.__module__}`*" + ("\n\n" + _table(("key", "default", "meaning"), rows) if rows else "")


def checks() -> str:
    """The codes of all checks."""
    rows = [
        (
            f"`{code}`",
            rule.severity,
            f"{rule.title}. {rule.consequence} {rule.fix if isinstance(rule.fix, str) else ''}".strip(),
        )
        for code, rule in sorted(RULES.items())
    ]
    return _table(("code", "severity", "what is found"), rows)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in row) + " |" for row in lines
    )


def _roles(text: str) -> str:
    """Sphinx's roles and double backquotes as code, and no tags in the rest."""
    parts = re.split(r"(?::\w+:)?`+~?([^`]+)`+", text)  # every second one is code
    return "".join(f"`{one}`" if i % 2 else one.replace("<", "&lt;") for i, one in enumerate(parts))
