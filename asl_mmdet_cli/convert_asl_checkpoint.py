"""Convert a TResNet that the authors of ASL publish.

The result is a checkpoint of mmpretrain's ImageClassifier with timm's TResNet as TIMMBackbone and a linear multi-label
head; --reverse goes the other way. Model and number of classes are recognised from the tensors. Apart from the names,
the two differ in this: the authors' InPlaceABN scales by |weight| + eps, batch norm by weight; and the head of their
model for Open Images is two linear layers in a row, which become one.

Example:
    python tools/convert_asl_checkpoint.py downloaded.pth --out tresnet.pth
"""

import argparse

from asl_mmdet_cli.arguments import add_checkpoint, add_out_file
from asl_mmdet_cli.messages import need_checkpoint, need_new


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    add_checkpoint(command, "checkpoint to convert")
    add_out_file(command, ".pth", "file to write")
    command.add_argument("--reverse", action="store_true", help="from mmpretrain's layout to the authors'")


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    need_checkpoint(args.checkpoint)
    need_new(args.out, args.force, [args.checkpoint])
