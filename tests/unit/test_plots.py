"""The plotting tools, on logs as MMEngine writes them."""

import json

import pytest
from commands import call


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
    done = call("plot_probabilities", tmp_path / "asl", tmp_path / "bce", "--out", tmp_path / "gap.png")
    assert done.returncode == 0, done.stderr
    assert "asl, iteration 30: pt_pos 0.700, pt_neg 0.500, prob_gap 0.200, gamma_neg 3.000" in done.stdout
    assert "bce, iteration 19: pt_pos 0.200, pt_neg 0.500, prob_gap -0.300\n" in done.stdout
    assert (tmp_path / "gap.png").stat().st_size > 10_000
    assert (tmp_path / "gap.svg").read_text().count("<svg") == 1


def test_run_without_probabilities_is_explained(tmp_path):
    write_log(tmp_path / "run" / "20260101_000000", [dict(step=1, loss=1.0)])
    for folder in ("run", "nowhere"):
        done = call("plot_probabilities", tmp_path / folder, "--out", tmp_path / "gap.png")
        assert done.returncode == 1
        assert (
            "has no log with probabilities: train with custom_hooks = [dict(type='ProbabilityGapHook')]" in done.stderr
        )
    assert not (tmp_path / "gap.png").exists()


def test_losses_of_the_paper_and_of_chosen_parameters(tmp_path):
    done = call("plot_losses", "--out", tmp_path / "paper.png")
    assert done.returncode == 0, done.stderr
    assert "cross-entropy: gradient of a negative is largest at p = 1.00" in done.stdout
    # p (1 - p) / (1 - p + m) is largest where 1 - p = sqrt(m^2 + m) - m: for m = 0.2 at p = 0.71.
    assert "CE + shifting: gradient of a negative is largest at p = 0.71" in done.stdout
    done = call("plot_losses", "--asl", "0,4,0.05", "--asl", "1,2,0,0.25", "--out", tmp_path / "own.png")
    assert len(done.stdout.splitlines()) == 3
    for name in ("paper", "own"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        assert (tmp_path / f"{name}.svg").is_file()


@pytest.mark.parametrize("text, message", [("0,9", "is not gamma+,gamma-,margin[,alpha]"), ("0,1,2", "clip=2.0")])
def test_wrong_parameters_are_explained(text, message, tmp_path):
    done = call("plot_losses", "--asl", text, "--out", tmp_path / "x.png")
    assert done.returncode == 2
    assert message in done.stderr
