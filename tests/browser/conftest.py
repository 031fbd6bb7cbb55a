"""A headless browser, and audits whose page it opens. Nothing is downloaded: the browser is the system's."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from asl_mmdet.audit.labels import Labels
from asl_mmdet.audit.page import write_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CONFIG = str(Path(__file__).parents[2] / "configs/shapes/atss_r18_asl_shapes.py")


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="make test-browser installs Playwright")
    path = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"there is none of {', '.join(BROWSERS)}: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """A function that opens an audit's page; a script that fails, or asks for another address, fails the test."""
    contexts, wrong = [], []

    def open_page(path, context=None, **options):
        if context is None:
            options = dict(viewport=dict(width=1280, height=900), accept_downloads=True) | options
            contexts.append(context := browser.new_context(**options))
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on(
            "request", lambda request: wrong.append(request.url) if request.url[:5] not in ("file:", "blob:") else None
        )
        page.goto(f"file://{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def audit(tmp_path):
    """A function that writes a data set, findings about it and their page."""

    def write(rows, classes=("cat", "dog", "owl"), names=("0.jpg", "1.jpg"), size=(300, 400), annotations=()):
        pixels = np.full((*size, 3), 100, np.uint8)
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / name), pixels)
        coco = dict(
            images=[dict(id=i, file_name=name, width=size[1], height=size[0]) for i, name in enumerate(names)],
            categories=[dict(id=i, name=name) for i, name in enumerate(classes, 1)],
            annotations=[dict(area=a["bbox"][2] * a["bbox"][3], iscrowd=0, **a) for a in annotations],
        )
        (tmp_path / "train.json").write_text(json.dumps(coco))
        dataset = dict(data_root=f"{tmp_path}/", ann_file="train.json", data_prefix=dict(img=""))
        dataset["metainfo"] = dict(classes=classes)
        config = tmp_path / "config.py"
        config.write_text(f"_base_ = {CONFIG!r}\ntrain_dataloader = dict(dataset={dataset!r})\n", encoding="utf-8")
        labels = Labels(Config.fromfile(config))
        page = tmp_path / "index.html"
        write_page(rows, labels, page, len(rows))
        return SimpleNamespace(page=page, rows=rows, labels=labels, folder=tmp_path, config=config)

    return write


@pytest.fixture
def finding():
    """A function that makes a row of findings.json; the class is one of cat, dog and owl."""

    def make(score, kind="missing", image=0, category=1, **more):
        names = {1: "cat", 2: "dog", 3: "owl"}
        row = dict(kind=kind, score=score, image_id=image, file_name=f"{image}.jpg", bbox=[100, 100, 40, 30])
        row |= dict(category_id=category, category=names[category])
        if kind == "missing":
            row["alternative"] = 0
        return row | more

    return make
