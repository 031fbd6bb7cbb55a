"""Train the model of a config: python tools/train.py CONFIG [options]. The options are MMDetection's."""

import argparse

from mmengine.device import is_cuda_available, is_mlu_available, is_musa_available, is_npu_available

from asl_mmdet.cli import add_common_arguments, build_runner, check_checkpoint, check_data, fail, load_config


def main() -> None:
    """Parse the options, check what can be checked now, and hand over to MMEngine's runner."""
    parser = argparse.ArgumentParser(description="Train the model of a config.")
    parser.add_argument("config", help="config file")
    parser.add_argument("--amp", action="store_true", help="automatic mixed precision")
    parser.add_argument("--auto-scale-lr", action="store_true", help="scale the learning rate with the batch size")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from this checkpoint, or without one from the latest of the work directory",
    )
    add_common_arguments(parser)
    args = parser.parse_args()
    cfg = load_config(args)
    if args.amp:
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.loss_scale = "dynamic"
    if cfg.get("optim_wrapper", {}).get("type") == "AmpOptimWrapper" and not (
        is_cuda_available() or is_npu_available() or is_mlu_available() or is_musa_available()
    ):
        fail(
            "--amp: MMEngine's mixed precision needs a GPU, and there is none; leave --amp out"
            if args.amp
            else f"{args.config} trains in mixed precision, for which MMEngine needs a GPU, and there is none. "
            "Without: --cfg-options optim_wrapper.type=OptimWrapper"
        )
    if args.auto_scale_lr:
        if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
            fail(
                "--auto-scale-lr: the config must say auto_scale_lr=dict(base_batch_size=...), the batch size of its lr"
            )
        cfg.auto_scale_lr.enable = True
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == "auto" else args.resume
    if cfg.get("load_from"):
        check_checkpoint(cfg.load_from)
    if cfg.train_dataloader.dataset.get("unannotated") == "ignore" and cfg.model.head.loss.type != "PartialLabelLoss":
        fail(
            "train_dataloader.dataset.unannotated='ignore' marks unknown labels by -1, which "
            f"{cfg.model.head.loss.type} would take for labels: write model.head.loss=dict(type='PartialLabelLoss', "
            "loss=...)"
        )
    check_data(cfg, "train", "val")
    build_runner(cfg).train()


if __name__ == "__main__":
    main()
