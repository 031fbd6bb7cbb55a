"""What is plotted of a log as MMEngine writes it, and the losses of the documentation."""

import json

import pytest

from asl_mmdet.cli.report import last_probabilities, plot_probabilities
from asl_mmdet.runs.logs import read_log
from docs_build import plot_losses


def write_log(folder, rows):
    (folder / "vis_data").mkdir(parents=True)
    (folder / "vis_data" / "scalars.json").write_text("\n".join(json.dumps(row) for row in rows))


def test_probabilities_of_several_runs_and_of_a_resumed_one(tmp_path):
    def row(step, gap, **more):
        return dict(step=step, loss=1.0, pt_pos=0.5 + gap, pt_neg=0.5, prob_gap=gap, **more)

    write_log(tmp_path / "asl" / "20260101_000000", [row(i, 0.01 * i, gamma_neg=2.0) for i in range(1, 20)])
    resumed = [row(i, 0.2, gamma_neg=3.0) for i in range(10, 31)] + [{"step": 1, "coco/bbox_mAP": 0.5}]
    write_log(tmp_path / "asl" / "20260101_000001", resumed)
    write_log(tmp_path / "bce" / "20260101_000000", [row(i, -0.3) for i in range(1, 20)] + [dict(step=20, loss=1.0)])
    runs = {name: read_log(tmp_path / name)[0] for name in ("asl", "bce")}
    plot_probabilities(runs, tmp_path / "gap.png")
    assert (tmp_path / "gap.png").stat().st_size > 10_000
    assert last_probabilities(runs["asl"]) == "pt_pos 0.700, pt_neg 0.500, prob_gap 0.200, gamma_neg 3.000"
    assert last_probabilities(runs["bce"]) == "pt_pos 0.200, pt_neg 0.500, prob_gap -0.300"
    assert last_probabilities({1: dict(loss=1.0)}) == ""


def test_losses_of_the_paper_and_of_chosen_parameters(tmp_path, capsys):
    plot_losses.main(["--out", str(tmp_path / "paper.png")])
    printed = capsys.readouterr().out
    assert "cross-entropy: gradient of a negative is largest at p = 1.00" in printed
    # p (1 - p) / (1 - p + m) is largest where 1 - p = sqrt(m^2 + m) - m: for m = 0.2 at p = 0.71.
    assert "CE + shifting: gradient of a negative is largest at p = 0.71" in printed
    plot_losses.main(["--asl", "0,4,0.05", "--asl", "1,2,0,0.25", "--out", str(tmp_path / "own.png")])
    assert len(capsys.readouterr().out.splitlines()) == 3
    for name in ("paper", "own"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000


@pytest.mark.parametrize("text, message", [("0,9", "is not gamma+,gamma-,margin[,alpha]"), ("0,1,2", "clip=2.0")])
def test_wrong_parameters_are_explained(text, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        plot_losses.main(["--asl", text, "--out", str(tmp_path / "x.png")])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
