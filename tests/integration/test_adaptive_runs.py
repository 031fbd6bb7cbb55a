"""The losses that adapt themselves in several processes, and over a restart."""

import json
import time

import pytest
import torch
from commands import ROOT
from processes import Started

from asl_mmdet.cli.common import end_processes
from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.losses import AdaptiveAsymmetricLoss, MissingRateLoss

pytestmark = pytest.mark.slow


def adaptive(**options):
    return AdaptiveAsymmetricLoss(**dict(use_sigmoid=True, gamma_neg=2.0, alpha=None) | options)


def batches():
    """Ten batches of 32; in the fourth, no positive is in the second half, and in the fifth there is none at all."""
    generator = torch.Generator().manual_seed(0)
    result = []
    for i in range(10):
        z = torch.randn(32, 3, generator=generator)
        y = torch.randint(0, 4, (32,), generator=generator)
        y[16 if i == 3 else 32 : 32] = 3
        y[0 if i == 4 else 32 : 32] = 3
        result.append((z, y))
    return result


def train_half(rank, world_size, folder):
    if world_size > 1:
        torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=world_size)
    losses = [
        *(adaptive(step_size=1.0), adaptive(step_size=1.0, num_classes=3, adapt="both", momentum=0.5)),
        MissingRateLoss(use_sigmoid=True, missing_rate=0.2, step_size=0.05),
    ]
    size = 32 // world_size
    path = []
    for z, y in batches():
        for loss in losses:
            loss(z[rank * size : (rank + 1) * size], y[rank * size : (rank + 1) * size])
            loss.step()
            path += [getattr(loss, name).clone() for name in loss.moved]
    torch.save(path, f"{folder}/{world_size}_{rank}.pth")
    end_processes()


def test_two_processes_equal_one_with_the_joined_batch(tmp_path):
    train_half(0, 1, tmp_path)
    torch.multiprocessing.start_processes(train_half, (2, tmp_path), nprocs=2, start_method="forkserver")
    one, first, second = (torch.load(tmp_path / f"{name}.pth") for name in ("1_0", "2_0", "2_1"))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(first, one)
    assert all((first != last).all() for first, last in zip(one[:6], one[-6:], strict=True))  # all of them moved


def whole_and_cut(tmp_path, config, **more):
    """The folders of an undisturbed run and of one that is killed and resumed, and what the first printed."""
    data = make_shapes(tmp_path / "shapes", num_train=8, num_val=4)
    lines = {f"{split}_dataloader": f"dict(dataset=dict(data_root='{data}/'))" for split in ("train", "val", "test")}
    if "classifier" not in config:
        lines |= {f"{split}_evaluator": f"dict(ann_file='{data}/annotations/val.json')" for split in ("val", "test")}
    text = "".join(f"{key} = {value}\n" for key, value in (lines | more).items())
    (tmp_path / "config.py").write_text(f"_base_ = '{ROOT}/configs/shapes/{config}_shapes.py'\n{text}")
    options = ["train_dataloader.batch_size=2", "train_cfg.max_epochs=3", "default_hooks.logger.interval=1"]

    def train(folder, *flags):
        work_dir = ["--work-dir", tmp_path / folder]
        return Started("tools/train.py", tmp_path / "config.py", *work_dir, *flags, "--cfg-options", *options)

    done = train("whole").finish()
    assert done.returncode == 0, done.stderr
    cut = train("cut")
    cut.wait_for(r"Epoch\(train\) +\[2\]\[2/4\]")
    cut.process.kill()
    cut.finish()
    assert not (tmp_path / "cut" / "epoch_2.pth").exists()
    time.sleep(1)  # the new log folder is named by the second
    assert train("cut", "--resume").finish().returncode == 0
    return tmp_path / "whole", tmp_path / "cut", done.stdout


def weights_of(folder):
    return torch.load(folder / "epoch_3.pth", weights_only=False)["state_dict"]


def test_killed_and_resumed_adaptive_run_equals_undisturbed(tmp_path):
    """Of a classifier; a detector's is in test_tools.py."""
    folders = whole_and_cut(tmp_path, "classifier_r18_adaptive")[:2]
    whole, cut = map(weights_of, folders)
    (gamma,) = (value for name, value in whole.items() if name.endswith("gamma_neg"))
    assert gamma not in (1.0, 2.0)  # where it starts
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    last = [max(folder.glob("*/vis_data/scalars.json")).read_text().splitlines()[-2] for folder in folders]
    ours, theirs = ({k: v for k, v in json.loads(row).items() if "time" not in k and "memory" not in k} for row in last)
    assert ours == theirs
    assert {"gamma_neg", "gap", "pt_pos", "pt_neg", "prob_gap"} <= ours.keys()


def test_killed_and_resumed_run_keeps_the_estimates_of_the_missing_share(tmp_path):
    loss = "dict(bbox_head=dict(loss_cls=dict(type='MissingRateLoss', missing_rate='auto')))"
    *folders, printed = whole_and_cut(tmp_path, "atss_r18_asl", model=loss, custom_hooks="[dict(type='EMAHook')]")
    assert "missing_rate='auto': the share could not be told" in printed.splitlines()[-1]
    whole, cut = (json.loads((folder / "missing_share.json").read_text()) for folder in folders)
    assert [one["iter"] for one in whole] == [1, 3, 6, 9]
    assert whole == cut
    weights = weights_of(folders[1])
    assert weights["bbox_head.loss_cls.missing_rate"] == 0 and weights["bbox_head.loss_cls.ignore_above"] == 1
