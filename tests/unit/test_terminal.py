"""Terminals of the pages: what a command prints is run, chosen and drawn; the pages and the list name the same ones."""

import re
from xml.etree import ElementTree

import pytest
from commands import ROOT

pytest.importorskip("mkdocs", reason="the extra docs")

from mkdocs.exceptions import PluginError

from asl_mmdet_cli import parser_of
from docs_build import terminal


def script(folder):
    (folder / "one.py").write_text("import os\nprint('noise')\nprint('in', os.getcwd() + '/data')\nraise SystemExit(3)")


def test_the_pages_name_the_terminals_of_the_list():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    assert sorted(re.findall(r"<!-- build: terminal (\w+) ", pages)) == sorted(terminal.TERMINALS)


@pytest.mark.parametrize("one", terminal.TERMINALS.values(), ids=terminal.TERMINALS)
def test_a_command_has_only_options_that_its_tool_has(one):
    for command in one.commands:
        if found := re.match(r"python tools/(\w+)\.py (.*)", command):
            parser_of(found[1]).parse_args(found[2].split())


def test_a_command_runs_in_its_folder_and_the_chosen_lines_are_shown():
    shown = terminal.printed(terminal.Terminal(("python one.py",), script, "^in", code=3))
    assert shown == (("python one.py", "in data"),)


def test_a_command_that_ends_otherwise_ends_the_build_with_what_it_printed():
    with pytest.raises(PluginError, match=r"ended with \[3\]:\nnoise"):
        terminal.printed(terminal.Terminal(("python one.py",), script))


def test_a_terminal_has_the_command_and_every_line_and_asks_no_other_site():
    svg = terminal.draw((("python one.py", "first line\n" + "long " * 40),))
    words = [one.text for one in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    text = [one.replace("\xa0", " ") for one in words if one.strip()]
    assert text[0] == "$ python one.py" and text[1] == "first line" and " ".join(text[2:]).split() == ["long"] * 40
    assert re.findall(r"https?://[^\"< ]+", re.sub(r"<!--.*?-->", "", svg)) == ["http://www.w3.org/2000/svg"]


def test_an_unknown_terminal_is_refused():
    with pytest.raises(PluginError, match="there is no terminal shell; there are import_folder, "):
        terminal.picture("shell", "")
