"""What the documentation's build adds to the pages: those of files at the root, and the old addresses."""

import posixpath
import re
from types import SimpleNamespace

import pytest
from commands import ROOT

pytest.importorskip("mkdocs", reason="the extra docs")

from docs_build import hooks, sources


def test_the_citation_has_bibtex_of_the_software_and_of_the_paper():
    page = sources.citation((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert page.count("```bibtex") == 2
    assert "@software{asl_mmdet," in page and "@inproceedings{ridnik2021," in page
    assert "author = {Ridnik, Tal and Ben-Baruch, Emanuel and" in page


def test_links_of_a_file_at_the_root_lead_from_its_page():
    text = sources._from_about(
        "[a](docs/how_to/thresholds.md#using-them) [b](tests/README.md) [c](https://x.org) [d](#e)"
    )
    assert text == "[a](../how_to/thresholds.md#using-them) [b](../../tests/README.md) [c](https://x.org) [d](#e)"


def test_an_old_address_leads_to_a_page_that_exists(tmp_path):
    (tmp_path / "how_to").mkdir()
    hooks.on_post_build(SimpleNamespace(site_dir=tmp_path))
    for old, new in hooks.MOVED.items():
        assert (ROOT / "docs" / f"{new}.md").is_file() and not (ROOT / "docs" / f"{old}.md").exists()
        page = (tmp_path / f"{old}.html").read_text(encoding="utf-8")
        (target,) = re.findall(r'content="0; url=([^"]+)\.html"', page)
        assert posixpath.normpath(posixpath.join(posixpath.dirname(old), target)) == new
