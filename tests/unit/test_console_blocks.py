import re
from pathlib import Path

import pytest
from commands import ROOT

PAGES = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "configs").rglob("README.md"), *ROOT.glob("*.md")]
PAGES = sorted(page for page in PAGES if page.name != "CHANGELOG.md")
BLOCK = re.compile(r"^( *)```(?:console|bash)\n(.*?)^\1```", re.M | re.S)
FILE = re.compile(r"(?<![\w./*<>{$-])([\w./-]+\.(?:py|sh))(?![\w*])")
OF_OTHERS = re.compile(
    r"(?:mmdetection|mmpretrain|projects|\.mim)/|(?:^|/)(?:image_demo|get_flops|confusion_matrix|(?:analyze|browse)_\w+)\.py$"
)


def console_lines(text):
    """The lines of the console blocks, without comments."""
    blocks = "\n".join(block for _, block in BLOCK.findall(text)).replace("\\\n", " ")
    return [line.split(" #")[0] for line in blocks.splitlines()]


def is_shown(name, text):
    """Whether the page has the file as a block below its name, or a link to the page that has."""
    name = re.escape(Path(name).name)
    return re.search(rf"`{name}`[^\n]*\n+```python|^# {name}\n|\[`{name}`\]\(", text, re.M)


def name_of(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_script_or_config_of_a_block_is_in_the_tree_or_on_the_page(page):
    text = page.read_text()
    names = {name for line in console_lines(text) for name in FILE.findall(line) if not OF_OTHERS.search(name)}
    assert [name for name in names if not (ROOT / name).exists() and not is_shown(name, text)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_block_installs_can_be_installed(page):
    extras = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    lines = "\n".join(console_lines(page.read_text()))
    named = [extra for names in re.findall(r"\.\[([\w,-]+)\]", lines) for extra in names.split(",")]
    assert [extra for extra in named if not re.search(rf"^{extra} = ", extras, re.M)] == []
    assert not re.search(r"install .*asl[-_]mmdet", lines)  # it is on no index yet
