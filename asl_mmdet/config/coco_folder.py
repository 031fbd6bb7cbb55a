"""The folder that the environment variable COCO_FOLDER names for ``configs/small``."""

import os
import shlex
from typing import Any

from asl_mmdet.config.tree import find_datasets

VARIABLE = "COCO_FOLDER"
DEFAULT = "data/coco_folder"  # where it is not set


def is_coco_folder(root: str) -> bool:
    """Whether a data root is this folder, or what stands for it."""
    return bool(root) and os.path.normpath(root) == os.path.normpath(os.environ.get(VARIABLE) or DEFAULT)


def if_unset(cfg: Any) -> str:
    """A sentence, where a config reads this folder and the variable is not set; else an empty text."""
    loaders = [cfg.get(f"{split}_dataloader") for split in ("train", "val", "test")]
    roots = [dataset.get("data_root") or "" for loader in loaders for _, dataset in find_datasets(loader, "")]
    if os.environ.get(VARIABLE) or os.path.isdir(DEFAULT) or not any(map(is_coco_folder, roots)):
        return ""
    return f". {VARIABLE} names the folder of this config, and is not set: export {VARIABLE}=/path/to/data"


def how_to_name(root: str, has_other_files: bool) -> list[str]:
    """Lines that say how to name the folder, and how to bring another one into its form.

    Args:
        root: What stands in its place.
        has_other_files: Whether it has some of the files that are read, so that it is the right one.
    """
    if has_other_files:
        return ["The folder is there: check the name of the file. What tools write without a folder is not in it."]
    is_set = os.environ.get(VARIABLE)
    source = shlex.quote(root.rstrip("/")) if os.path.isdir(root) else "/path/to/data"
    return [
        f"The environment variable {VARIABLE} names it{'' if is_set else ', and is not set'}:",
        f"    export {VARIABLE}=/path/to/data",
        "To write this form from another (YOLO, Pascal VOC, an export of Roboflow, CVAT or Label Studio):",
        f"    python tools/import_dataset.py {source} --out {source}_coco && export {VARIABLE}={source}_coco",
    ]
