"""What the charts of the pages show is what the rows give."""

import re

import pandas as pd
import pytest
from commands import ROOT

from docs_build import charts, values

CHESS = "chess: chess_tuned50_384 data=missing50 loss=focal_tuned,focal_tuned_gamma05,detection_small_missing_rate"


def test_a_line_has_its_dot_at_the_difference_and_its_ends_at_the_interval():
    (axes,) = charts.differences("AP", CHESS).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["chess", "focal loss, gamma 0.5", "MissingRateLoss"]
    drawn = [list(line.get_xdata()) for line in axes.lines]
    loss = "chess_tuned50_384 data=missing50 loss=detection_small_missing_rate"
    numbers = [float(one) for one in re.findall(r"[+-][\d.]+", values.value_of(f"difference {loss}"))]
    dot, ends = drawn[2], drawn[3]
    assert [*dot, *ends] == pytest.approx(numbers, abs=0.05)


def test_focal_loss_is_hollow_and_two_seeds_are_a_cross_without_an_interval():
    (axes,) = charts.differences("AP", CHESS).axes
    assert [line.get_markerfacecolor() == "white" for line in axes.lines[:4:2]] == [True, False]
    (axes,) = charts.differences("AP", "shapes: shapes_attribution data=complete loss=focal,focal_gamma05").axes
    assert [line.get_marker() for line in axes.lines] == ["x", "None"]  # the second is the line at 0


def test_bars_are_as_long_as_the_cells_say():
    of_a_class = "thresholds loss=focal name={} of=f1 times=100"
    groups = [f"tuned: red=thresholds loss=focal name=RBC of=f1 times=100; white={of_a_class.format('WBC')}"]
    (axes,) = charts.bars("F1", *groups).axes
    found = pd.read_csv(ROOT / "benchmarks/thresholds.csv").query("loss == 'focal'").set_index("name")["f1"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([100 * found["RBC"], 100 * found["WBC"]])


def test_a_curve_has_a_point_for_every_size():
    (axes,) = charts.lines("pixels", "pixels", "AP", "runway: fod_test_size").axes
    (line,) = axes.lines
    runs = pd.read_csv(ROOT / "benchmarks/runs.csv").query("experiment == 'fod_test_size'")
    assert dict(zip(*line.get_data(), strict=True)) == dict(zip(runs["pixels"], runs["AP"], strict=True))


def test_a_line_over_the_shares_has_a_point_for_each_share_and_a_bar_for_three_seeds():
    words = "focal loss: shapes_missing0 shapes_missing50 loss=focal"
    (axes,) = charts.shares("shapes", words).axes
    points = dict(zip(*axes.lines[0].get_data(), strict=True))
    assert list(points) == [0, 50]
    assert f"{points[50]:.1f}" == values.value_of("mean shapes_missing50 loss=focal")
    assert len(axes.collections) == 1  # all boxes: two seeds
    (other,) = charts.shares("shapes", f"{words} 'metric=macro F1'").axes
    assert other.get_ylabel() == "macro F1" and min(other.lines[0].get_ydata()) > points[50]


def test_points_of_a_share_are_beside_each_other():
    losses = ["focal_tuned", "oracle", "focal_found_half_more"]
    (axes,) = charts.shares("chess", *(f"{one}: chess_missing50 data=missing50 loss={one}" for one in losses)).axes
    places = [line.get_xdata()[0] for line in axes.lines if line.get_label() in losses]
    assert len(set(places)) == 3 and places[1] == 50


def test_half_of_the_images_with_all_boxes_is_at_a_half():
    (axes,) = charts.shares("shapes", "half of the images: shapes_known_classes data=images50").axes
    assert list(axes.lines[0].get_xdata()) == [50]


def test_a_chart_is_a_picture_with_its_words_and_an_unknown_one_is_refused():
    text = charts.chart("How it goes", "lines", "pixels", "pixels", "AP", "runway: fod_test_size")
    assert text.startswith("![How it goes](data:image/png;base64,")
    with pytest.raises(ValueError, match="there is no chart pie; there are differences"):
        charts.chart("", "pie")


@pytest.mark.parametrize(
    "words, expected",
    [
        ("cell thresholds loss=focal name=RBC of=f1 times=100", "74.1"),
        ("range bench_step allocator=jemalloc of=config_ms digits=0", "486 to 492"),
        ("speedup bench_busy 'loss=ours, eager' threads=1 parameters=1/2 of=forward_backward_ms", "4.9 to 4.9"),
        ("cell micro benchmark=heads case=csra classes=80 quantity=ms of=value", "7.4"),
    ],
)
def test_numbers_of_other_files(words, expected):
    assert values.value_of(words) == expected


def test_a_grid_has_a_column_for_every_size():
    text = values.value_of("grid fod_test_size by=set,missing columns=pixels")
    assert text.strip().splitlines()[0] == "| set | boxes missing | 320 | 384 | 448 |"
    assert text.strip().splitlines()[2] == "| things on a runway | 0 % | 30.2 | 29.2 | 27.2 |"


@pytest.mark.parametrize(
    "words, message",
    [
        ("cell nothing of=f1", "there is no nothing.csv in benchmarks or experiments"),
        ("cell thresholds los=focal of=f1", "los=focal: thresholds.csv has no such column; it has set, "),
        ("cell thresholds loss=hinge of=f1", "thresholds.csv has no row with"),
    ],
)
def test_a_wrong_cell_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        values.value_of(words)
