"""What is wrong with a data set or a config, found before hours of training show it."""

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcv
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict

from asl_mmdet.config_tree import find_blocks, find_datasets, find_typed_blocks, get_key

EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """One kind of defect.

    Args:
        problem: What is wrong.
        examples: Where, all of it.
        consequence: What training does about it.
        is_error: Training fails on it or learns nothing useful.
    """

    problem: str
    examples: tuple[str, ...]
    consequence: str
    is_error: bool

    def __str__(self) -> str:
        more = ", ..." if len(self.examples) > EXAMPLES else ""
        kind = "error" if self.is_error else "warning"
        shown = ", ".join(self.examples[:EXAMPLES])
        return f"{kind}: {self.problem}: {len(self.examples)} ({shown}{more}); {self.consequence}"


class _Findings:
    """Collects defects by kind, in the order in which the kinds are met."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str, bool], list[str]] = {}

    def add(self, example: Any, problem: str, consequence: str, is_error: bool = False) -> None:
        self.found.setdefault((problem, consequence, is_error), []).append(str(example))

    def result(self) -> list[Finding]:
        return [Finding(key[0], tuple(examples), key[1], key[2]) for key, examples in self.found.items()]


def check_datasets(cfg: Config, splits: Iterable[str], read_images: bool) -> dict[str, list[Finding]]:
    """Check all data sets of a config that are in COCO format.

    Args:
        cfg: The config.
        splits: Of 'train', 'val' and 'test'.
        read_images: Decode every image and compare its size, which takes a while; else look only whether it exists.

    Returns:
        The findings by the key of the data set, such as 'train_dataloader.dataset'; an empty list where all is well.
    """
    findings: dict[str, list[Finding]] = {}
    trained: dict[str, set[str]] = {}  # the images of the training sets
    number = _num_classes(cfg)
    for split in splits:
        for key, dataset in find_datasets(cfg.get(f"{split}_dataloader"), f"{split}_dataloader"):
            path = os.path.join(dataset.get("data_root") or "", str(dataset.get("ann_file")))
            kind = _kind(dataset)
            if kind != "CocoMultiLabel" and not issubclass(DATASETS.get(kind) or object, CocoDataset):
                continue
            if dataset.get("backend_args"):  # files elsewhere
                continue
            checker = _CocoChecker(dataset, path, number if split == "train" else None)
            findings[key] = checker.check(read_images)
            images = {os.path.normpath(image) for image in checker.images.values()}
            if split == "train":
                trained[key] = images
            else:
                for train_key, train_images in trained.items():
                    findings[key] += _shared_images(train_key, sorted(images & train_images))
    return findings


def _shared_images(train_key: str, shared: list[str]) -> list[Finding]:
    if not shared:
        return []
    problem = f"images that {train_key} has too"
    return [Finding(problem, tuple(shared), "the evaluation is of images that were trained on", False)]


def _num_classes(cfg: Config) -> int | None:
    model = cfg.get("model") or {}
    head = model.get("bbox_head") or model.get("head") or {}
    head = head[0] if isinstance(head, list) else head
    return head.get("num_classes")


class _CocoChecker:
    """The defects of one annotation file and its images."""

    def __init__(self, dataset: ConfigDict, path: str, num_classes: int | None) -> None:
        self.path = path
        self.num_classes = num_classes
        self.classes = (dataset.get("metainfo") or {}).get("classes")
        self.metainfo = dataset.get("metainfo") or {}
        prefix: Any = dataset.get("data_prefix") or ""
        prefix = prefix.get("img", prefix.get("img_path", "")) if isinstance(prefix, dict) else prefix
        self.folder = os.path.join(dataset.get("data_root") or "", str(prefix))
        self.kind = _kind(dataset)
        self.is_detection = self.kind != "CocoMultiLabel"
        self.findings = _Findings()
        self.images: dict[Any, str] = {}  # path by id

    def check(self, read_images: bool) -> list[Finding]:
        content = self._read()
        if content is not None:
            names = self._check_categories(content["categories"])
            sizes = self._check_images(content["images"])
            self._check_annotations(content["annotations"], names, sizes)
            self._check_files(sizes, read_images)
        return self.findings.result()

    def _read(self) -> dict[str, list[dict[str, Any]]] | None:
        try:
            content = json.loads(Path(self.path).read_bytes())
        except OSError as error:
            self._error(self.path, f"an annotation file that cannot be opened ({error.strerror})", "training fails")
            return None
        except ValueError as error:  # of JSON or of the encoding
            self._error(self.path, f"an annotation file that is not JSON or is cut off ({error})", "training fails")
            return None
        lists = {"images", "annotations", "categories"}
        found = content if isinstance(content, dict) else {}
        wrong = sorted(
            name
            for name in lists
            if not isinstance(found.get(name), list) or not all(isinstance(entry, dict) for entry in found[name])
        )
        if wrong:
            self._error(
                ", ".join(wrong),
                "lists that an annotation file in COCO format has and this one has not",
                "training fails",
            )
            return None
        for name in ("images", "categories"):
            if not content[name]:
                self._error(self.path, f"an annotation file without {name}", "there is nothing to train on")
        return content

    def _error(self, example: Any, problem: str, consequence: str) -> None:
        self.findings.add(example, problem, consequence, is_error=True)

    def _check_ids(self, entries: list[dict[str, Any]], what: str, consequence: str) -> None:
        numbers = Counter(repr(entry.get("id")) for entry in entries)
        for number, times in numbers.items():
            if times > 1 and number != "None":
                self._error(number, f"{what} ids that are there more than once", consequence)
        for entry in entries:
            if not _is_id(entry.get("id")):
                self._error(_short(entry), f"{what} ids that are missing or not whole numbers", "training fails")

    def _check_categories(self, categories: list[dict[str, Any]]) -> dict[Any, str]:
        """The names of the categories that are used, by id."""
        self._check_ids(categories, "category", "the objects of one are taken for those of the other")
        names = {entry.get("id"): str(entry.get("name")) for entry in categories if _is_id(entry.get("id"))}
        for name, times in Counter(names.values()).items():
            if times > 1:
                self.findings.add(name, "category names that are there more than once", "they become several classes")
        if 0 in names:
            self.findings.add(
                names[0],
                "categories with the id 0",
                "MMDetection takes it as any other; tools that keep 0 for the background lose it",
            )
        if isinstance(self.classes, str):
            self._error(
                f"classes={self.classes!r}", "metainfo.classes that is a string", "write a tuple: classes=('name',)"
            )
            return names
        if self.classes is None and "CLASSES" in self.metainfo:
            self._error(
                "CLASSES", "metainfo keys of MMDetection 2", "they are not read; write metainfo=dict(classes=...)"
            )
        if self.classes is None and self.kind == "CocoDataset":
            self.classes = CocoDataset.METAINFO["classes"]
            if names and not set(self.classes) & set(names.values()):
                for name in names.values():
                    self._error(
                        name,
                        "categories of a file whose data set has no metainfo.classes",
                        "MMDetection looks for COCO's 80 names and ignores all others, so AP is 0; write "
                        f"metainfo=dict(classes=...) and num_classes={len(names)}",
                    )
                return names
        if self.classes is None:
            if self.kind == "CocoMultiLabel" and self.num_classes not in (None, len(names)):
                self._error(
                    f"{self.num_classes} in the head, {len(names)} in the file",
                    "numbers of classes that differ",
                    f"write num_classes={len(names)} in the head",
                )
            return names
        classes = list(self.classes)
        for name, times in Counter(classes).items():
            if times > 1:
                self._error(name, "names that metainfo.classes has more than once", "labels are shifted")
        for name in classes:
            if name not in names.values():
                similar = next((n for n in names.values() if n.strip().lower() == str(name).strip().lower()), None)
                hint = f"; the file has {similar!r}" if similar else ""
                self._error(
                    f"{name!r}",
                    "classes of the config that the file has not",
                    f"they are never learned, and the labels of the others are shifted{hint}",
                )
        for name in names.values():
            if name not in classes:
                self.findings.add(
                    f"{name!r}",
                    "categories of the file that metainfo.classes does not name",
                    "their objects are background",
                )
        in_file = [name for name in names.values() if name in classes]
        if sorted(in_file) == sorted(classes) and in_file != classes:
            self.findings.add(
                f"config {classes[:EXAMPLES]}, file {in_file[:EXAMPLES]}",
                "orders of the classes that differ between the config and the file",
                "labels follow the file, so results and pictures show wrong names",
            )
        if self.num_classes not in (None, len(classes)):
            self._error(
                f"{self.num_classes} in the head, {len(classes)} in metainfo.classes",
                "numbers of classes that differ",
                f"write num_classes={len(classes)} in the head",
            )
        return {number: name for number, name in names.items() if name in classes}

    def _check_images(self, images: list[dict[str, Any]]) -> dict[Any, tuple[float, float]]:
        """Width and height by id."""
        self._check_ids(images, "image", "the boxes of both are drawn on one of them")
        sizes: dict[Any, tuple[float, float]] = {}
        for entry in images:
            if not isinstance(entry.get("file_name"), str):
                self._error(_short(entry), "images without a file_name", "training fails")
                continue
            if not _is_id(entry.get("id")):
                continue
            self.images[entry["id"]] = os.path.join(self.folder, entry["file_name"])
            width: Any = entry.get("width")
            height: Any = entry.get("height")
            if _is_number(width) and _is_number(height) and width > 0 and height > 0:
                sizes[entry["id"]] = width, height
            elif self.is_detection:
                self._error(entry["file_name"], "images without a width and a height", "training fails")
        for path, times in Counter(self.images.values()).items():
            if times > 1:
                self.findings.add(path, "images that are listed more than once", "each has only a part of the boxes")
        return sizes

    def _check_annotations(
        self, annotations: list[dict[str, Any]], names: dict[Any, str], sizes: dict[Any, tuple[float, float]]
    ) -> None:
        self._check_ids(annotations, "annotation", "MMDetection refuses the file")
        known = set(names)
        objects: Counter[Any] = Counter()
        add = self.findings.add
        for entry in annotations:
            where = f"annotation {entry.get('id')}"
            image_id, category_id = entry.get("image_id"), entry.get("category_id")
            if not _is_id(image_id) or image_id not in self.images:
                add(where, "annotations of an image that the file does not list", "they are not read")
                continue
            if not _is_id(category_id) or category_id not in known:
                if not self.classes:
                    add(where, "annotations of a category that the file does not list", "they are not read")
                continue
            if self.is_detection and not self._is_good_box(entry, where, sizes.get(image_id), add):
                continue
            if not entry.get("ignore") and not entry.get("iscrowd"):
                objects[category_id] += 1
        for number, name in names.items():
            if not objects[number]:
                add(f"{name!r}", "classes without a usable object", "they are never learned, or have no AP")
        if self.images and not objects:
            self._error(self.path, "a set without a usable object", "there is nothing to learn or to evaluate")

    def _is_good_box(
        self, entry: dict[str, Any], where: str, size: tuple[float, float] | None, add: Callable[..., None]
    ) -> bool:
        """Whether MMDetection reads the box."""
        box, dropped = entry.get("bbox"), "MMDetection leaves them out without a word"
        if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
            self._error(where, "boxes that are not 4 finite numbers", "training fails, or its loss becomes NaN")
            return False
        if not _is_number(entry.get("area")):
            self._error(where, "annotations without an area", "training fails; width x height will do")
            return False
        x, y, w, h = box
        if w <= 0 or h <= 0:
            add(f"{where}: {w:g} x {h:g}", "boxes of zero or negative size", dropped)
        elif w < 1 or h < 1:
            add(f"{where}: {w:g} x {h:g}", "boxes of less than a pixel", dropped)
        elif entry["area"] <= 0:
            add(where, "annotations whose area is not positive", dropped)
        elif size is None:
            return False
        elif x >= size[0] or y >= size[1] or x + w <= 0 or y + h <= 0:
            add(f"{where}: {box}", "boxes outside of their image", dropped)
        else:
            if x < 0 or y < 0 or x + w > size[0] + 1 or y + h > size[1] + 1:
                add(
                    f"{where}: {box} in {size[0]:g} x {size[1]:g}",
                    "boxes that stick out of their image by more than a pixel",
                    "they are used as they are",
                )
            return True
        return False

    def _check_files(self, sizes: dict[Any, tuple[float, float]], read_images: bool) -> None:
        there: dict[str, set[str]] = {}
        for number, path in self.images.items():
            folder, name = os.path.split(path)
            if folder not in there:  # one listing of a folder instead of a question for every file
                there[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
            if name not in there[folder]:
                self._error(path, "images that are not there", "training fails when it comes to one")
            elif read_images:
                self._check_image(path, sizes.get(number))

    def _check_image(self, path: str, size: tuple[float, float] | None) -> None:
        content = Path(path).read_bytes()
        if not _is_complete(content):
            self._error(path, "images that are cut off", "the rest is grey, or training fails when it comes to one")
            return
        try:
            image = mmcv.imfrombytes(content, flag="color")
        except Exception:  # of OpenCV, for an empty file
            image = None
        if image is None:
            self._error(path, "images that cannot be decoded", "training fails when it comes to one")
        elif size is not None and (image.shape[1], image.shape[0]) != size:
            self._error(
                f"{path}: {image.shape[1]} x {image.shape[0]}, not {size[0]:g} x {size[1]:g}",
                "images of another size than their annotation says",
                "boxes are at wrong places (an image may be turned by its EXIF tag)",
            )


def _is_complete(content: bytes) -> bool:
    """Whether a JPEG or PNG has its end, behind which some cameras write more; OpenCV fills up without a word."""
    if content.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in content[2:]
    if content.startswith(b"\x89PNG"):
        return b"IEND" in content
    return True


def _kind(dataset: ConfigDict) -> str:
    """The type without its scope."""
    return str(dataset.get("type")).rpartition(".")[2]


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _short(entry: dict[str, Any]) -> str:
    text = str(entry)
    return text if len(text) <= 60 else text[:57] + "..."


_WHOLE, _POSITIVE = (int,), (int, float)
_NUMBERS: dict[str, tuple[tuple[type, ...], float, str]] = {  # key: types, least value, how to say it
    "train_cfg.max_epochs": (_WHOLE, 1, "a whole number from 1"),
    "train_cfg.max_iters": (_WHOLE, 1, "a whole number from 1"),
    "train_cfg.val_interval": (_WHOLE, 1, "a whole number from 1"),
    "train_dataloader.batch_size": (_WHOLE, 1, "a whole number from 1"),
    "val_dataloader.batch_size": (_WHOLE, 1, "a whole number from 1"),
    "train_dataloader.num_workers": (_WHOLE, 0, "a whole number from 0"),
    "val_dataloader.num_workers": (_WHOLE, 0, "a whole number from 0"),
    "optim_wrapper.optimizer.lr": (_POSITIVE, 0, "a number above 0"),
    "optim_wrapper.optimizer.weight_decay": (_POSITIVE, 0, "a number from 0"),
    "optim_wrapper.clip_grad.max_norm": (_POSITIVE, 0, "a number above 0"),
    "optim_wrapper.accumulative_counts": (_WHOLE, 1, "a whole number from 1"),
    "default_hooks.checkpoint.interval": (_WHOLE, 1, "a whole number from 1"),
    "default_hooks.logger.interval": (_WHOLE, 1, "a whole number from 1"),
    "randomness.seed": (_WHOLE, 0, "a whole number from 0"),
    "model.bbox_head.num_classes": (_WHOLE, 1, "the number of classes, without background"),
    "model.bbox_head.loss_cls.loss_weight": (_POSITIVE, 0, "a number from 0"),
}


def check_config(cfg: Config) -> list[Finding]:
    """Check what the libraries accept without a word, or refuse with one that does not help.

    What a loss, a head or a hook refuses by itself when it is built is not repeated here.
    """
    findings = _Findings()
    for key, (types, least, allowed) in _NUMBERS.items():
        value = get_key(cfg, key)
        if value is None:
            continue
        is_number = isinstance(value, types) and not isinstance(value, bool)
        if not is_number or not value >= least or ("above" in allowed and value == least):
            findings.add(f"{key}={value!r}", "values out of range", f"use {allowed}", is_error=True)
    for split in ("train", "val", "test"):
        loader = cfg.get(f"{split}_dataloader") or {}
        if loader.get("persistent_workers") and loader.get("num_workers") == 0:
            findings.add(
                f"{split}_dataloader.persistent_workers=True",
                "persistent workers where num_workers=0",
                "PyTorch refuses it; write persistent_workers=False",
                is_error=True,
            )
        _check_evaluator(cfg, split, findings)
    _check_schedule(cfg, findings)
    _check_loss(cfg, findings)
    return findings.result()


def _check_schedule(cfg: Config, findings: _Findings) -> None:
    """A one-cycle schedule that ends before the training does, which would stop it with an error there."""
    for key, scheduler in find_blocks(cfg, "param_scheduler"):
        unit = "max_epochs" if scheduler.get("by_epoch", True) else "max_iters"
        steps, length = scheduler.get("total_steps"), get_key(cfg, f"train_cfg.{unit}")
        if isinstance(steps, int) and isinstance(length, int) and length > steps:
            findings.add(
                f"{key}.total_steps={steps} with train_cfg.{unit}={length}",
                "schedules that are shorter than the training",
                f"training would stop with an error where the schedule ends; write {key}.total_steps={length}",
                is_error=True,
            )


def _check_evaluator(cfg: Config, split: str, findings: _Findings) -> None:
    datasets = list(find_datasets(cfg.get(f"{split}_dataloader"), f"{split}_dataloader"))
    for _, evaluator in find_blocks(cfg, f"{split}_evaluator"):
        path = evaluator.get("ann_file")
        read = {os.path.normpath(os.path.join(d.get("data_root") or "", str(d.get("ann_file")))) for _, d in datasets}
        if path and read and os.path.normpath(path) not in read:
            findings.add(
                f"{split}_evaluator.ann_file={path!r}",
                "evaluators with another file than their data set",
                f"the predictions are compared with other images; write {sorted(read)[0]!r}",
                is_error=True,
            )


def _check_loss(cfg: Config, findings: _Findings) -> None:
    model = cfg.get("model") or {}
    imports = (cfg.get("custom_imports") or {}).get("imports") or []
    imports = [imports] if isinstance(imports, str) else imports
    scope = cfg.get("default_scope")
    hooks = [hook.get("type") for hook in cfg.get("custom_hooks") or []]
    for key, block in find_typed_blocks(model, "model"):
        kind = str(block["type"]).rpartition(".")[2]
        if kind not in ("AsymmetricLoss", "AdaptiveAsymmetricLoss"):
            continue
        if scope == "mmpretrain" and "." not in block["type"] and kind == "AsymmetricLoss":
            findings.add(
                f"{key}.type={block['type']!r}",
                "losses of mmpretrain by the name of this project's",
                "mmpretrain's has other defaults and arguments; write type='mmdet.AsymmetricLoss'",
            )
            continue
        if not any(str(name).split(".")[0] == "asl_mmdet" for name in imports):
            findings.add(
                f"{key}.type={block['type']!r}",
                "losses of this project without custom_imports",
                "MMDetection's own tools do not find them; write custom_imports=dict(imports=['asl_mmdet'], "
                "allow_failed_imports=False)",
            )
        if kind == "AdaptiveAsymmetricLoss" and "AdaptiveAsymmetryHook" not in hooks:
            findings.add(
                f"{key}.type={block['type']!r}",
                "adaptive losses without their hook",
                "nothing adapts; add dict(type='AdaptiveAsymmetryHook') to custom_hooks",
            )
        if block.get("loss_weight") == 0:
            findings.add(f"{key}.loss_weight=0", "losses with no weight", "no class is learned")
        threshold, margin = (model.get("test_cfg") or {}).get("score_thr"), block.get("clip", 0.0)
        is_detector = "bbox_head" in model and _is_number(margin) and margin > 0
        if is_detector and _is_number(threshold) and margin >= threshold:
            findings.add(
                f"{key}.clip={margin} with model.test_cfg.score_thr={threshold}",
                "margins at or above score_thr",
                "background settles at p = clip and is detected; use a smaller clip (0 is best) or a larger score_thr",
            )
        elif is_detector and margin >= 0.01:
            findings.add(
                f"{key}.clip={margin}",
                "margins at or above a detector's first scores of 0.01",
                "no background is learned until some rises above it; clip=0 is the preset",
            )
