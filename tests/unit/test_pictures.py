"""The drawn pictures show what the rows give now, and README stays short."""

import re
from xml.etree import ElementTree

import pytest
from commands import ROOT

from docs_build import pictures

README = (ROOT / "README.md").read_text(encoding="utf-8")
HOW_TO = sorted((ROOT / "docs" / "how_to").glob("*.md"))


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_a_picture_shows_what_the_rows_give(name):
    _, text = pictures.draw(name)
    committed = pictures.description_of(pictures.FOLDER / f"{name}.svg")
    assert text and committed == text, "draw them again: python -m docs_build.pictures"


def test_every_drawn_picture_is_on_a_page():
    pages = README + "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    files = {path.name for path in pictures.FOLDER.iterdir()}
    assert files >= {f"{name}.svg" for name in pictures.PICTURES}
    assert {name for name in files if f"pictures/{name}" not in pages} == set()


def test_a_picture_is_drawn_the_same_twice(tmp_path):
    first, second = (tmp_path / name for name in "ab")
    first.mkdir()
    second.mkdir()
    assert pictures.write("workflow", first).read_bytes() == pictures.write("workflow", second).read_bytes()


def test_the_chart_of_gains_has_a_dot_at_each_number_that_it_names():
    figure, text = pictures.draw("gain")
    named = [float(number) for number in re.findall(r"(?::|gamma) ([+-]?\d+\.\d)", text)]
    (axes,) = figure.axes
    dots = [
        float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in "oD" and len(line.get_xdata()) == 1
    ]
    assert [round(one, 1) for one in sorted(dots)] == pytest.approx(sorted(named), abs=0.051)


def test_readme_has_at_most_500_words():
    assert len(README.split()) <= 500


def test_no_cell_of_readme_has_more_than_12_words():
    cells = [cell for line in README.splitlines() if line.startswith("|") for cell in line.strip("|").split("|")]
    shown = [re.sub(r"\]\([^)]*\)", "]", cell).split() for cell in cells]
    assert cells and max(map(len, shown)) <= 12


def test_readme_has_no_measured_number():
    prose = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|<img [^>]*>", "", README, flags=re.S)
    assert re.findall(r"[+-]?\d+\.\d+ ?(?:AP|%|points)|\d+ ?%", prose) == []


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_a_picture_is_wide_enough_to_be_read_on_a_phone(name):
    width = ElementTree.parse(pictures.FOLDER / f"{name}.svg").getroot().get("width", "")
    assert float(width.removesuffix("pt")) <= 6.1 * 72  # its letters of 10.5 pt are at least 8 px there


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_a_how_to_has_a_picture(page):
    shown = r"!\[[^]]{30,}\]\(\.\./\S+\.(?:svg|png|jpg)\)|<!-- build: (?:terminal \w+|chart) \"[^\"]{30,}\".* -->"
    assert re.search(shown, page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_a_how_to_has_at_most_600_words_without_its_tables(page):
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if not line.startswith("|")]
    assert len(" ".join(lines).split()) <= 600
