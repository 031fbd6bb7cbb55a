import json
import re
import shlex

import pytest
from commands import ROOT

from asl_mmdet_cli import COMMANDS, parser_of

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
OTHERS = [ROOT / name for name in ("CONTRIBUTING.md",)]
OTHERS += sorted(page for folder in ("benchmarks", "configs", "tests") for page in (ROOT / folder).rglob("README.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:asl_mmdet(?:_cli)?|benchmarks|configs|docs(?:_build)?|experiments|tests|tools)/[\w./-]+)`")
TOOL = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:python tools/(\w+)\.py|asl-mmdet ([\w-]+))( .*)?$")


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def commands_of(text):
    """The commands in the console blocks of a page, or after %run in a notebook, without comments and prompts."""
    blocks = re.findall(r"^( *)```(?:console|bash)\n(.*?)^\1```", text, re.M | re.S)  # also those that can be opened
    lines = "".join(block for _, block in blocks).replace("\\\n", " ").splitlines()
    found = [TOOL.match(line.strip().removeprefix("$ ").split(" #")[0].strip()) for line in lines]
    return [(one[1] or COMMANDS[one[2]], shlex.split(one[3] or "")) for one in found if one]


def all_commands():
    found = [(name_of(page), *command) for page in PAGES + OTHERS for command in commands_of(page.read_text())]
    cells = json.loads((ROOT / "docs/tutorial.ipynb").read_text())["cells"]
    runs = re.findall(r"^%run (tools/(\w+)\.py.*)$", "\n".join("".join(cell["source"]) for cell in cells), re.M)
    return [*found, *(("docs/tutorial.ipynb", tool, shlex.split(line)[1:]) for line, tool in runs)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_link_leads_to_a_file(page):
    for link in LINK.findall(page.read_text()):
        if not re.match(r"https?:|#|data:", link):
            assert (page.parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES + OTHERS, ids=name_of)
def test_a_file_that_a_page_names_is_in_the_tree(page):
    named = [name for name in FILE.findall(page.read_text()) if not re.search("NAME|/.mim/", name)]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    named = set(re.findall(r"[\w/]+\.md", navigation))
    written = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.name != "README.md"}
    assert {name for name in named if not name.startswith("about/")} == written  # the build makes about/


@pytest.mark.parametrize("page, tool, argv", all_commands())
def test_a_command_of_a_page_has_only_options_that_the_help_of_the_tool_has(page, tool, argv):
    parser = parser_of(tool)
    parser.allow_abbrev = False
    args = parser.parse_args(argv)
    named = "--out" in argv or getattr(args, "out", None) == parser.get_default("out")
    assert named and (tool != "merge_datasets" or "--out" in argv)  # the help has no OUT as the last argument


@pytest.mark.parametrize("tool", sorted(path.stem for path in (ROOT / "tools").glob("*.py")))
def test_every_option_of_a_command_has_a_help(tool):
    parser = parser_of(tool)
    assert [action.dest for action in parser._actions if not action.help] == []


def test_the_notebook_is_committed_without_outputs():
    cells = json.loads((ROOT / "docs/tutorial.ipynb").read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
