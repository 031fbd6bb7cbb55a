"""What the page of an audit shows: crops, whole images, long lists, narrow and dark screens."""

import cv2
import numpy as np
import pytest

pytest.importorskip("playwright", reason="make test-browser installs Playwright")
from playwright.sync_api import expect

ANNOTATED, MODEL = (77, 178, 255), (255, 154, 46)
PIXEL = "([selector, x, y]) => [...document.querySelector(selector).getContext('2d').getImageData(x, y, 1, 1).data]"


def pixel(page, x, y, selector=".crop canvas"):
    """Red, green and blue there, once something is drawn."""
    page.wait_for_function("s => document.querySelector(s).width > 0", arg=selector)
    page.wait_for_function(
        "s => document.querySelector(s).getContext('2d').getImageData(9, 9, 1, 1).data[3]", arg=selector
    )
    return tuple(page.evaluate(PIXEL, [selector, x, y])[:3])


def is_colour(found, expected, by=40):
    return all(abs(a - b) <= by for a, b in zip(found, expected, strict=True))


def paint(made, name="0.jpg"):
    """Have the image of an audit be red with a green field at (120, 110) to (140, 130), and write its page again."""
    from asl_mmdet.audit.page import write_page

    path = str(made.folder / name)
    pixels = np.full_like(cv2.imread(path), (0, 0, 200))
    pixels[110:130, 120:140] = (0, 200, 0)
    cv2.imwrite(path, pixels, [cv2.IMWRITE_JPEG_QUALITY, 100])
    write_page(made.rows, made.labels, made.page, 10)
    return made


@pytest.mark.parametrize("size", [(300, 400), (1500, 2000)], ids=["small image", "large image"])
def test_crop_has_the_pixels_of_the_image(size, audit, finding, opened):
    """The window around (140, 135) begins at (28, 23), in an image that is reduced for the page too."""
    page = opened(paint(audit([finding(0.9, bbox=[100, 100, 80, 70])], size=size)).page)
    assert is_colour(pixel(page, 118 - 28, 108 - 23), (200, 0, 0))
    assert is_colour(pixel(page, 126 - 28, 114 - 23), (0, 200, 0))
    assert is_colour(pixel(page, 134 - 28, 126 - 23), (0, 200, 0))
    assert is_colour(pixel(page, 142 - 28, 132 - 23), (200, 0, 0))
    assert is_colour(pixel(page, 100 - 28, 101 - 23), MODEL)


def test_small_object_is_enlarged_by_whole_pixels(audit, finding, opened):
    page = opened(paint(audit([finding(0.9, bbox=[120, 110, 20, 20])])).page)
    left, top = round(130 - 224 / 6), round(120 - 224 / 6)
    assert is_colour(pixel(page, 3 * (124 - left), 3 * (114 - top)), (0, 200, 0))
    assert is_colour(pixel(page, 3 * (116 - left), 3 * (120 - top)), (200, 0, 0))


def test_colours_tell_the_annotation_from_the_models_box(audit, finding, opened):
    given = dict(id=7, image_id=0, category_id=1, bbox=[100, 100, 40, 60])
    about = dict(annotation_id=7, annotated_category="cat")
    seen = dict(seen_bbox=[120, 100, 60, 60], seen_category="dog", seen_score=0.31)
    rows = [
        finding(0.9, "spurious", bbox=[100, 100, 40, 60], iou=0.0, **about, **seen),
        finding(0.5, "badly_located", bbox=[120, 100, 60, 60], iou=0.4, **about),
    ]
    page = opened(audit(rows, annotations=[given]).page)
    for kind in ("badly_located", "spurious"):
        page.get_by_role("button", name=kind).click()
        assert is_colour(pixel(page, 100 - 28, 140 - 18), ANNOTATED)
        assert is_colour(pixel(page, 180 - 28, 101 - 18), MODEL)
    expect(page.locator(".card")).to_contain_text("annotated cat; the model sees dog 0.31 there")


def test_whole_image_has_all_boxes_and_goes_with_the_findings(audit, finding, opened):
    given = [dict(id=i, image_id=0, category_id=1, bbox=[20 * i, 20, 10, 10]) for i in (1, 2)]
    rows = [finding(0.9), finding(0.8, image=1, bbox=[300, 200, 40, 30])]
    page = opened(audit(rows, annotations=given).page)
    page.get_by_role("button", name="Show the whole image").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Actual pixels").click()
    for x in (20, 40):  # thin lines
        red, _, blue = pixel(page, x, 25, "#whole-canvas")
        assert blue - red > 60
    assert is_colour(pixel(page, 100, 102, "#whole-canvas"), MODEL)
    page.keyboard.press("a")
    expect(dialog.get_by_role("heading")).to_have_text("1.jpg")
    dialog.get_by_role("button", name="Reject").click()
    expect(page.locator("#whole-note")).to_contain_text("missing 0.80 cat. rejected.")
    dialog.get_by_role("button", name="Previous").click()
    expect(page.locator("#whole-note")).to_contain_text("missing 0.90 cat. accepted.")
    page.keyboard.press("Escape")
    expect(page.locator(".card").first).to_be_focused()


def test_tags_have_the_whole_image(audit, finding, opened):
    rows = [finding(0.9), finding(0.8, "spurious", category=2, annotated_category="dog")]
    for row in rows:
        del row["bbox"]
    made = audit(rows, annotations=[dict(id=1, image_id=0, category_id=2, bbox=[0, 0, 9, 9])])
    made.labels.is_tags = True
    page = opened(paint(made).page)
    assert is_colour(pixel(page, round(130 * 224 / 400), round(120 * 224 / 400)), (0, 200, 0))
    page.keyboard.press("Enter")
    expect(page.locator("#whole-note")).to_contain_text("Labelled: dog.")
    expect(page.locator("main section").first).to_contain_text("Accept adds the label.")


def test_five_thousand_findings_stay_usable(audit, finding, opened, record_property):
    """Measured: the first picture of the page, the first crop, the memory of scripts, and a filter."""
    names = [f"{i}.jpg" for i in range(500)]
    rows = [finding(round(1 - i / 5001, 5), image=i % 500, category=1 + i % 3) for i in range(5000)]
    page = opened(audit(rows, names=names, size=(480, 640)).page)
    assert is_colour(pixel(page, 100, 20), (100, 100, 100))
    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert page.locator(".card").count() == 48
    page.mouse.move(600, 600)
    for _ in range(40):
        page.mouse.wheel(0, 3000)
        page.wait_for_timeout(30)
    page.wait_for_function("document.querySelectorAll('.card').length > 500")
    drawn = "[...document.querySelectorAll('.crop canvas')].filter(one => one.width).length"
    page.wait_for_function(f"{drawn} < 100")
    filtered = page.evaluate("""() => {
        const start = performance.now();
        const choice = document.getElementById("class");
        choice.value = "owl";
        choice.dispatchEvent(new Event("input"));
        document.body.offsetHeight; // with the layout
        return performance.now() - start;
    }""")
    assert page.locator("#tabs").inner_text() == "missing 1,666"
    page.keyboard.press("a")
    expect(page.locator("#counts")).to_have_text("4,999 left, 1 accepted, 0 rejected")
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
    for name, value in (("first paint", first), ("filter", filtered), ("heap", heap)):
        record_property(name, value)
    print(f"first paint {first:.0f} ms, filter {filtered:.0f} ms, heap {heap:.0f} MB")
    assert first < 5000 and filtered < 3000 and heap < 300


@pytest.mark.parametrize("scheme, is_dark", [("light", False), ("dark", True)])
def test_narrow_screen_has_two_columns_and_no_sideways_scroll(scheme, is_dark, audit, finding, opened):
    rows = [finding(0.9, file_name="0.jpg"), finding(0.8, image=1), finding(0.7)]
    page = opened(
        audit(rows).page, viewport=dict(width=390, height=844), color_scheme=scheme, is_mobile=True, has_touch=True
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.querySelector('.grid')).gridTemplateColumns.split(' ').length") == 2
    page.get_by_role("button", name="✗ Reject").first.tap()
    expect(page.locator("#counts")).to_have_text("2 left, 0 accepted, 1 rejected")
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    assert (int(shade) < 128) is is_dark
