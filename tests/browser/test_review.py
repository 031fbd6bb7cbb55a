"""The page of an audit as a person uses it, by its roles and names, which a screen reader has too."""

import json
import re

import pytest
from commands import call

pytest.importorskip("playwright", reason="make test-browser installs Playwright")
from playwright.sync_api import expect


@pytest.fixture
def some(audit, finding):
    """Six findings: four missing, one of them touching an annotation, one wrong_class and one spurious."""
    rows = [
        finding(0.9, image=0, category=1, bbox=[200, 150, 40, 30]),
        finding(0.8, image=1, category=2),
        finding(0.7, "wrong_class", category=3, annotation_id=7, annotated_category="dog", iou=0.6),
        finding(0.6, "spurious", 1, 1, annotation_id=8, annotated_category="cat", iou=0.0, bbox=[10, 10, 20, 20]),
        finding(0.5, image=0, category=3, touched_id=7, touched_is_found=False, iou=0.2, bbox=[120, 100, 40, 30]),
        finding(0.4, image=1, category=1),
    ]
    annotations = [
        dict(id=7, image_id=0, category_id=2, bbox=[95, 95, 40, 30]),
        dict(id=8, image_id=1, category_id=1, bbox=[10, 10, 20, 20]),
    ]
    return audit(rows, annotations=annotations)


def card(page, text):
    return page.get_by_role("group", name=re.compile(text))


def counts(page):
    return page.locator("#counts").inner_text()


def downloaded(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Download reviewed.json").click()
    assert download.value.suggested_filename == "reviewed.json"
    return download.value.path()


def test_every_kind_is_a_section_of_its_own_and_says_what_accepting_does(some, opened):
    page = opened(some.page)
    assert [tab.inner_text() for tab in page.locator("#tabs button").all()] == [
        "missing 4",
        "wrong_class 1",
        "spurious 1",
    ]
    expect(page.get_by_role("region", name="missing 4")).to_contain_text("Accept adds the model's box.")
    assert page.locator(".card").count() == 4
    page.get_by_role("button", name="spurious 1").click()
    expect(page.get_by_role("region", name="spurious 1")).to_contain_text("Accept removes the annotation.")
    assert page.locator(".card").count() == 1


def test_findings_are_accepted_rejected_and_undone_by_click(some, opened):
    page = opened(some.page)
    first = card(page, "cat, score 0.90")
    first.get_by_role("button", name="✓ Accept").click()
    expect(card(page, "cat, score 0.90.*accepted")).to_be_visible()
    card(page, "dog, score 0.80").get_by_role("button", name="Reject").click()
    assert counts(page) == "4 left, 1 accepted, 1 rejected"
    expect(page.get_by_role("status")).to_have_text("dog, 0.80: rejected")
    page.get_by_role("button", name="Undo").click()
    assert counts(page) == "5 left, 1 accepted, 0 rejected"
    first.get_by_role("button", name="✓ Accept").click()  # a second click takes it back
    assert counts(page) == "6 left, 0 accepted, 0 rejected"


def test_keys_do_the_same_and_go_on_to_the_next(some, opened):
    page = opened(some.page)
    page.keyboard.press("a")
    page.keyboard.press("r")
    assert counts(page) == "4 left, 1 accepted, 1 rejected"
    expect(card(page, "cat, score 0.90.*accepted")).to_be_visible()
    expect(card(page, "dog, score 0.80.*rejected")).to_be_visible()
    expect(card(page, "owl, score 0.50")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("u")
    assert counts(page) == "6 left, 0 accepted, 0 rejected"
    expect(card(page, "cat, score 0.90")).to_be_focused()
    page.keyboard.press("u")
    expect(page.get_by_role("status")).to_have_text("There is nothing to undo.")


def test_arrows_go_along_the_row_and_to_the_next_row(audit, finding, opened):
    rows = [finding(0.9 - i / 100) for i in range(12)]
    page = opened(audit(rows).page)
    columns = page.evaluate("getComputedStyle(document.querySelector('.grid')).gridTemplateColumns.split(' ').length")
    for key, place in (("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowLeft", columns), ("ArrowUp", 0)):
        page.keyboard.press(key)
        assert page.evaluate("[...document.querySelectorAll('.card')].indexOf(document.activeElement)") == place


def test_another_class_is_chosen_by_number_and_by_name(some, opened):
    page = opened(some.page)
    page.keyboard.press("3")
    expect(card(page, "owl, score 0.90.*accepted")).to_be_visible()
    choice = card(page, "dog, score 0.80").get_by_role("combobox", name="Class")
    choice.focus()
    choice.select_option(label="cat (1)")
    expect(card(page, "cat, score 0.80.*accepted")).to_be_visible()
    card(page, "owl, score 0.50").locator("b").click()
    for key in ("c", "2", "Enter", "ArrowRight"):
        page.keyboard.press(key)
    expect(card(page, "dog, score 0.50.*accepted")).to_be_visible()
    expect(card(page, "cat, score 0.40")).to_be_focused()
    page.get_by_role("button", name="wrong_class").click()
    page.keyboard.press("2")  # dog, as it is annotated
    expect(card(page, "wrong_class.*rejected")).to_be_visible()
    page.get_by_role("button", name="spurious").click()
    page.keyboard.press("2")
    expect(page.get_by_role("status")).to_have_text("A spurious finding has no other class to choose.")


PIECES = [f"{color}-{name}" for color in ("white", "black") for name in ("queen", "rook", "bishop", "king", "pawn")]


def test_a_class_is_chosen_by_typing_its_name_and_enter(audit, finding, opened):
    """A browser jumps to another class at each letter, and letters are keys of the page."""
    rows = [{**finding(0.9 - i / 10), "category": "white-queen"} for i in range(3)]
    page = opened(audit(rows, classes=PIECES).page)
    page.keyboard.press("c")
    page.keyboard.type("black-rook", delay=20)
    assert counts(page) == "3 left, 0 accepted, 0 rejected"
    page.keyboard.press("Enter")
    expect(card(page, "black-rook, score 0.90.*accepted")).to_be_visible()
    assert counts(page) == "2 left, 1 accepted, 0 rejected"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("c")
    page.keyboard.type("white-b", delay=20)
    page.keyboard.press("Escape")
    expect(card(page, "white-queen, score 0.80")).to_be_focused()
    expect(card(page, "white-queen, score 0.80").get_by_role("combobox", name="Class")).to_have_value("0")
    page.keyboard.press("c")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")  # goes away: nothing was chosen
    assert counts(page) == "2 left, 1 accepted, 0 rejected"
    page.keyboard.press("u")
    assert counts(page) == "3 left, 0 accepted, 0 rejected"


def test_names_that_begin_with_a_number_are_typed_too(audit, finding, opened):
    classes = ("10 cents", "2 euros", "5 cents")
    page = opened(audit([{**finding(0.9), "category": "10 cents"}], classes=classes).page)
    for key in ("c", "5", "Enter"):
        page.keyboard.press(key)
    expect(card(page, "5 cents, score 0.90.*accepted")).to_be_visible()


def test_all_from_here_up_are_accepted_but_what_was_rejected_and_one_undo_takes_them_back(some, opened):
    page = opened(some.page)
    page.keyboard.press("r")
    card(page, "owl, score 0.50").get_by_role("button", name="Accept all that are left from 0.50 up").click()
    assert counts(page) == "3 left, 2 accepted, 1 rejected"
    page.keyboard.press("u")
    assert counts(page) == "5 left, 0 accepted, 1 rejected"
    card(page, "score 0.80").locator("b").click()
    page.keyboard.press("Shift+A")
    assert counts(page) == "4 left, 1 accepted, 1 rejected"


def test_decisions_survive_a_reload_and_belong_to_their_audit(some, opened, audit, finding):
    page = opened(some.page)
    page.keyboard.press("a")
    page.keyboard.press("3")
    page.reload()
    assert counts(page) == "4 left, 2 accepted, 0 rejected"
    expect(card(page, "owl, score 0.80.*accepted")).to_be_visible()
    other = opened(audit([finding(0.9), finding(0.3)]).page, context=page.context)
    assert counts(other) == "2 left, 0 accepted, 0 rejected"


def test_every_control_has_a_name_and_no_finding_is_no_fault(audit, finding, opened):
    unnamed = """[...document.querySelectorAll("button, input, select, [role=group], [role=img], dialog, section")]
        .filter(one => ![one.ariaLabel, one.labels?.[0]?.textContent.trim(), one.textContent.trim()].some(Boolean))
        .map(one => one.outerHTML)"""
    page = opened(audit([finding(0.9), finding(0.8, "spurious", annotated_category="cat")]).page)
    page.keyboard.press("Enter")
    assert page.evaluate(unnamed) == []
    empty = opened(audit([]).page)
    expect(empty.locator("#total")).to_have_text("0 findings.")
    for key in ("a", "ArrowDown", "Enter", "u"):
        empty.keyboard.press(key)
    assert json.loads(downloaded(empty).read_text(encoding="utf-8")) == []


def test_two_tabs_of_one_audit_agree(some, opened):
    page = opened(some.page)
    other = opened(some.page, context=page.context)
    page.keyboard.press("a")
    expect(other.locator("#counts")).to_have_text("5 left, 1 accepted, 0 rejected")


def test_page_without_storage_says_so_and_works(some, opened):
    page = opened(some.page)
    page.context.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('full') }")
    page.reload()
    page.keyboard.press("a")
    expect(page.get_by_role("alert")).to_contain_text("download it before you leave the page")
    assert counts(page) == "5 left, 1 accepted, 0 rejected"


def scores(page):
    return [float(text) for text in page.locator(".card b").all_text_contents()]


def test_filters_and_orders(some, opened):
    page = opened(some.page)
    assert scores(page) == [0.9, 0.8, 0.5, 0.4]
    page.get_by_role("slider", name="score from").fill("0.5")
    assert scores(page) == [0.9, 0.8, 0.5]
    page.keyboard.press("r")  # the slider takes arrows alone
    page.keyboard.press("u")
    expect(page.locator("#status")).to_have_text("Undone: cat")
    page.get_by_role("combobox", name="class", exact=True).select_option("cat")
    assert scores(page) == [0.9]
    page.get_by_role("combobox", name="class", exact=True).select_option("all")
    page.get_by_label("image", exact=True).fill("1.JPG")
    assert scores(page) == [0.8]
    assert page.locator("#tabs").inner_text().split("\n") == ["missing 1", "wrong_class 0", "spurious 1"]
    page.get_by_label("image", exact=True).fill("")
    page.get_by_role("combobox", name="sort by").select_option("class")
    assert scores(page) == [0.9, 0.8, 0.5]
    page.get_by_role("slider", name="score from").fill("0.4")
    assert scores(page) == [0.9, 0.4, 0.8, 0.5]
    page.get_by_role("combobox", name="sort by").select_option("image")
    assert scores(page) == [0.9, 0.5, 0.8, 0.4]
    card(page, "score 0.90").locator("b").click()
    page.keyboard.press("a")
    page.get_by_role("combobox", name="decision").select_option("accepted")
    assert scores(page) == [0.9]
    expect(page.locator(".shown").first).to_have_text("1 shown: 0 left, 1 accepted, 0 rejected")


def test_missing_object_that_touches_an_annotation_is_told_from_a_loose_box(some, opened):
    page = opened(some.page)
    expect(card(page, "score 0.50")).to_contain_text("perhaps the same object in a loose box")
    expect(card(page, "score 0.90")).not_to_contain_text("touches")


def test_precision_and_the_threshold_that_it_suggests(audit, finding, opened):
    rows = [finding(round(0.99 - i / 100, 2)) for i in range(60)]
    page = opened(audit(rows).page)
    summary = page.locator("details summary", has_text="Precision so far")
    summary.click()
    page.get_by_role("combobox", name="precision to keep").select_option("90 %")
    for key in [*"a" * 19, "r"]:
        page.keyboard.press(key)
    expect(summary).to_have_text("Precision so far: 19 of 20 accepted")
    expect(page.get_by_text("No threshold yet")).to_be_visible()  # the last accepted one is the 19th
    page.keyboard.press("a")
    expect(page.locator(".suggestion")).to_contain_text("Above 0.79 you accepted 20 of 21.")
    cells = page.locator("details tbody tr").first.locator("td").all_text_contents()
    assert cells == ["0.9 to 1.0", "10", "10", "10", "100 %"]
    page.locator(".card b").nth(30).click()
    page.keyboard.press("a")
    page.get_by_role("button", name="Accept the 9 left above 0.69").click()
    assert counts(page) == "29 left, 30 accepted, 1 rejected"
    expect(summary).to_have_text("Precision so far: 21 of 22 accepted")  # an estimate is no review


def test_reviewed_file_has_every_decision_and_is_read_back(some, opened):
    page = opened(some.page)
    for key in "a3r":
        page.keyboard.press(key)
        page.keyboard.press("ArrowRight") if key == "3" else None
    rows = json.loads(downloaded(page).read_text(encoding="utf-8"))
    assert [(row["score"], row["decision"]) for row in rows] == [
        *((0.9, "accepted"), (0.8, "accepted"), (0.7, "open"), (0.6, "open"), (0.5, "rejected"), (0.4, "open"))
    ]
    assert (rows[1]["category"], rows[1]["category_id"], rows[1]["model_category"]) == ("owl", 3, "dog")
    assert rows[2] == dict(json.loads(json.dumps(rows[2])), bbox=[100, 100, 40, 30], annotation_id=7)
    reviewed = some.folder / "reviewed.json"
    reviewed.write_text(json.dumps(rows), encoding="utf-8")
    other = opened(some.page)  # another browser
    assert counts(other) == "6 left, 0 accepted, 0 rejected"
    other.locator("#read").set_input_files(reviewed)
    expect(other.get_by_role("status")).to_have_text("reviewed.json: 3 decisions read.")
    assert counts(other) == "3 left, 2 accepted, 1 rejected"
    assert json.loads(downloaded(other).read_text(encoding="utf-8")) == rows
    reviewed.write_text("{}", encoding="utf-8")
    other.locator("#read").set_input_files(reviewed)
    expect(other.get_by_role("status")).to_have_text("reviewed.json cannot be read: it is no list of findings")


def test_reviewed_file_is_applied_as_it_is(some, opened):
    page = opened(some.page)
    page.keyboard.press("3")  # the first missing one is an owl
    for key in ("ArrowRight", "ArrowRight", "r"):
        page.keyboard.press(key)
    for kind in ("wrong_class", "spurious"):
        page.get_by_role("button", name=kind).click()
        page.keyboard.press("a")
    target = some.folder / "new.json"
    arguments = ["--findings", downloaded(page), "--apply", "0", "--apply-to", target]
    done = call("audit_labels", some.config, *arguments)
    assert done.returncode == 0, done.stderr
    assert "1 labels added, of 1 findings of missing ones; annotations 1 reclassified, 1 removed" in done.stdout
    added = json.loads(target.read_text(encoding="utf-8"))["annotations"]
    assert [(a["id"], a["image_id"], a["category_id"]) for a in added] == [(7, 0, 3), (9, 0, 3)]


def test_ids_that_javascript_would_round_stay_as_they_are(audit, finding, opened):
    number = 2**60 + 1
    about = dict(annotation_id=number, annotated_category="dog", iou=0.6)
    annotation = dict(id=number, image_id=0, category_id=2, bbox=[95, 95, 40, 30])
    made = audit([finding(0.7, "wrong_class", category=3, **about)], annotations=[annotation])
    page = opened(made.page)
    page.keyboard.press("a")
    path = downloaded(page)
    assert [row["annotation_id"] for row in json.loads(path.read_text(encoding="utf-8"))] == [number]
    again = opened(made.page)
    again.locator("#read").set_input_files(path)
    expect(again.locator("#counts")).to_have_text("0 left, 1 accepted, 0 rejected")


HOSTILE = ("<script>document.title = 'hacked'</script>", '"it\'s" & </script><img src=x onerror=alert(1)>', "שלם عالم")


def test_names_from_the_data_set_are_text(audit, finding, opened):
    names = ("a<script>document.title = 'hacked'</script>.jpg", "\"quoted\" 'name' & {{ path }}.jpg", "\u202eתמ.jpg")
    rows = [
        finding(0.9 - i / 10, image=i, category=i + 1, file_name=name) | dict(category=HOSTILE[i])
        for i, name in enumerate(names)
    ]
    made = audit(rows, classes=HOSTILE, names=names)
    page = opened(made.page)
    assert page.title().startswith("Audit of ")
    assert page.locator(".file").all_text_contents() == list(names)
    assert page.locator(".card > p:first-of-type bdi").all_text_contents() == list(HOSTILE)
    assert page.locator("img, .card script").count() == 0
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").get_by_role("heading").inner_text() == names[0]
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    rows = json.loads(downloaded(page).read_text(encoding="utf-8"))
    assert [(row["file_name"], row["category"]) for row in rows] == list(
        zip(names, (HOSTILE[1], *HOSTILE[1:]), strict=True)
    )


def test_script_that_is_not_the_pages_own_does_not_run(some, browser):
    text = some.page.read_text(encoding="utf-8")
    target = some.folder / "injected.html"
    target.write_text(text.replace("<header>", "<header><script>document.title = 'hacked'</script>"), encoding="utf-8")
    page = browser.new_page()
    page.goto(f"file://{target}")
    assert page.title().startswith("Audit of ")
    assert counts(page) == "6 left, 0 accepted, 0 rejected"
    page.close()
