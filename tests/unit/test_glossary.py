"""The glossary has what the pages abbreviate, once, in order, and nothing that no page uses."""

import re

import pytest
from commands import ROOT

GLOSSARY = ROOT / "docs/concepts/glossary.md"
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
ABBREVIATION = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]*[A-Z]{2}[A-Za-z0-9]*")
# What a practitioner knows or finds: words of the field and of computers; data sets, packages, tools; networks.
KNOWN = """
AMD API AVX CITATION CNN COCO CONTRIBUTING CPU CPUs CSV CSVs CUDA CVPR EPYC FAQ GB GPU GPUs ICCV JSON MB RGB SHA UTF
XML
AVA BCCD CVAT DOTA MIM MLflow MMAction2 MMDeploy MMDetection MMDetection3D MMEngine MMRotate MMSegmentation MMYOLO
MS NUS OpenCV OpenMMLab PASCAL VOC WIDE
DAB DDOD DDQ DINO FCAF3D FSAF GHM GLIP LAD LD NAS PAA PISA RTMDet SABL SECOND SOLO SOLOv2 SSD TOOD TResNet VFNet XL
YOLACT YOLO YOLOF YOLOX YOLOv3 YOLOv5 YOLOv7
"""
KNOWN_WORDS = set(KNOWN.split())


def words_of(text):
    """The text without code, comments and the targets of links."""
    text = re.sub(r"^( *)```.*?^\1```|<!--.*?-->|`[^`]*`", "", text, flags=re.M | re.S)
    return re.sub(r"\]\([^)]*\)|https?://\S+", "]", text)


def abbreviations(page):
    return set(ABBREVIATION.findall(words_of(page.read_text(encoding="utf-8"))))


def terms():
    """The terms of every entry, in the order of the page."""
    return [one.split(", ") for one in re.findall(r"^\*\*(.+)\*\*$", GLOSSARY.read_text(encoding="utf-8"), re.M)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_an_abbreviation_of_a_page_is_in_the_glossary(page):
    """Explain it there; KNOWN is for what a practitioner knows, and for names."""
    explained = {word for names in terms() for name in names for word in re.findall(r"\w+", name)}
    assert abbreviations(page) - explained - KNOWN_WORDS == set()


def test_the_list_of_what_is_known_has_nothing_that_no_page_uses():
    assert set().union(*map(abbreviations, PAGES)) >= KNOWN_WORDS


def test_terms_are_in_order_and_have_one_entry_each():
    found = [re.sub("[`_]", "", names[0]).casefold() for names in terms()]
    assert found == sorted(found)
    every = [name for names in terms() for name in names]
    assert len(every) > 100 and len(every) == len(set(every))


def test_a_page_uses_every_term():
    text = " ".join(page.read_text(encoding="utf-8") for page in PAGES if page != GLOSSARY).casefold()
    text = " ".join(text.split())
    unused = [names for names in terms() if not any(name.strip("`").casefold() in text for name in names)]
    assert unused == []
