"""What is wrong with data sets in COCO format: the rules, applied to a config's data sets."""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from mmdet.datasets import CocoDataset, CocoPanopticDataset
from mmengine.config import Config, ConfigDict

from asl_mmdet.checks import item_rules
from asl_mmdet.checks.box_form import BoxForm
from asl_mmdet.checks.class_rules import CLASS_RULES, LABEL_RULES, ORDER_RULES, Compared, Reference
from asl_mmdet.checks.finding import Finding, Findings
from asl_mmdet.checks.heads import class_counts
from asl_mmdet.checks.image_rules import FILTER_RULES, IMAGE_RULES, PIXEL_RULES, AnnotatedImage, left_out
from asl_mmdet.checks.resizing import left_by
from asl_mmdet.checks.set_rules import FILE_RULES, FORM_RULES, LIST_RULES, OBJECT_RULES, SET_RULES, SHARED_RULES
from asl_mmdet.coco.annotation_file import Annotation, AnnotationFile, CocoSet, class_of, kind_of
from asl_mmdet.coco.file_names import FileFinder
from asl_mmdet.coco.image_files import Loading
from asl_mmdet.config.tree import annotation_path, find_blocks, find_datasets, find_typed_blocks

SPLITS = ("train", "val", "test")


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
    counts = class_counts(cfg)
    reference = None if "train" in splits else _reference(cfg)
    for split in sorted(splits, key=SPLITS.index):
        for key, dataset in _coco_sets(cfg, split):
            found = Findings()
            coco = _open(dataset, found, counts if split == "train" else {}, split != "train")
            if coco is None:
                findings[key] = found.result()
                continue
            reference = reference or Reference.of(coco)
            if split == "train" or coco.class_of_label == reference.classes:
                found.apply(ORDER_RULES, coco)
            if coco.is_detection == reference.is_detection:
                found.apply(LABEL_RULES, Compared(coco, reference))
            _check_set(coco, found, read_images, _reads_masks(cfg, split, dataset))
            images = {os.path.normpath(path) for path in coco.image_paths.values()}
            if split == "train":
                trained[key] = images
            else:
                for train_key, train_images in trained.items():
                    found.apply(SHARED_RULES, (train_key, sorted(images & train_images)))
            findings[key] = found.result()
    return findings


def check_labels(cfg: Config, split: str) -> list[Finding]:
    """Whether the labels of a split stand for the classes that they stand for in training, and its boxes can be read.

    That is what predictions need to be compared with annotations; it reads two files.

    Args:
        cfg: The config.
        split: 'train', 'val' or 'test'.
    """
    reference, found = _reference(cfg), Findings()
    for _, dataset in _coco_sets(cfg, split):
        coco = _open(dataset, found, {}, True)
        if coco is not None:
            found.apply(LIST_RULES, coco)
            found.apply(CLASS_RULES, coco)
            if reference is not None:
                found.apply(LABEL_RULES, Compared(coco, reference))
            _check_annotations(coco, found, False)
    return found.result()


def _coco_sets(cfg: Config, split: str) -> Iterator[tuple[str, ConfigDict]]:
    """The data sets of a split whose files are here and in COCO format, each with its key."""
    for key, dataset in find_datasets(cfg.get(f"{split}_dataloader"), f"{split}_dataloader"):
        if _is_local_coco(dataset):
            yield key, dataset


def _is_local_coco(dataset: ConfigDict) -> bool:
    cls = class_of(dataset)
    is_coco = issubclass(cls, CocoDataset) and not issubclass(cls, CocoPanopticDataset)
    return (kind_of(dataset) == "CocoMultiLabel" or is_coco) and not dataset.get("backend_args")


def _reference(cfg: Config) -> Reference | None:
    """That of the first training set; None where it cannot be read."""
    for _, dataset in _coco_sets(cfg, "train"):
        coco = _open(dataset, Findings(), {}, False)
        return None if coco is None else Reference.of(coco)
    return None


def _open(dataset: ConfigDict, findings: Findings, class_counts: dict[str, Any], is_evaluated: bool) -> CocoSet | None:
    file = AnnotationFile(annotation_path(dataset))
    if kind_of(dataset) == "CocoMultiLabel":  # which this project reads
        file.foreign_encoding = ""
    if findings.apply_first(FILE_RULES, file) and not file.foreign_encoding:
        return None
    return None if file.missing_lists() else CocoSet(dataset, file, class_counts, is_evaluated)


def _reads_masks(cfg: Config, split: str, dataset: ConfigDict) -> bool:
    """Whether the pipeline loads masks, or the evaluator compares them."""
    loads = any(block.get("with_mask") for _, block in find_typed_blocks(dataset.get("pipeline"), "pipeline"))
    metrics = [block.get("metric") or [] for _, block in find_blocks(cfg, f"{split}_evaluator")]
    return loads or any("segm" in ([one] if isinstance(one, str) else one) for one in metrics)


def _check_set(coco: CocoSet, findings: Findings, read_images: bool, reads_masks: bool) -> None:
    findings.apply(CLASS_RULES, coco)
    findings.apply(LIST_RULES, coco)
    findings.apply(SET_RULES, coco)
    _check_annotations(coco, findings, reads_masks)
    findings.apply_first(FILTER_RULES, coco)
    _check_images(coco, findings, read_images)


def _check_annotations(coco: CocoSet, findings: Findings, reads_masks: bool) -> None:
    """Apply the rules to every annotation, count those that are usable, and apply the rules about all of them."""
    form = BoxForm(coco.path)
    flags = [*item_rules.FLAG_RULES, *(item_rules.EVALUATED_RULES if coco.is_evaluated and coco.is_detection else [])]
    for entry in coco.annotations:
        annotation = Annotation(entry, coco)
        if findings.apply_first(item_rules.REFERENCE_RULES, annotation) or entry["category_id"] not in coco.used:
            continue
        findings.apply(flags, annotation)
        if coco.is_detection and not _check_box(annotation, findings, form, reads_masks):
            continue
        if entry.get("ignore") or entry.get("iscrowd"):
            coco.ignored[entry["category_id"]] += 1
        else:
            coco.objects[entry["category_id"]] += 1
    findings.apply(FORM_RULES, form)
    findings.apply(OBJECT_RULES, coco)


def _check_box(annotation: Annotation, findings: Findings, form: BoxForm, reads_masks: bool) -> bool:
    """Apply the rules about boxes and masks; whether MMDetection reads the annotation."""
    if findings.apply_first(item_rules.NUMBER_RULES, annotation):
        return False
    form.add(annotation)
    if findings.apply_first(item_rules.BOX_RULES, annotation) or annotation.size is None:
        return False
    findings.apply(item_rules.READ_BOX_RULES, annotation)
    return not (reads_masks and findings.apply(item_rules.MASK_RULES, annotation))


def _check_images(coco: CocoSet, findings: Findings, read_images: bool) -> None:
    finder = FileFinder(coco.folder)
    pipeline = coco.dataset.get("pipeline")
    loading, resize, filtered = Loading.of(pipeline), left_by(pipeline), set(left_out(coco))
    for number, path in coco.image_paths.items():
        say_where = partial(_where_else, coco, finder, path)
        size = coco.sizes.get(number)
        left = None if size is None or path in filtered else resize(size)
        image = AnnotatedImage(path, loading, finder.has(path), size, left, say_where)
        if not findings.apply_first(IMAGE_RULES, image) and read_images:
            findings.apply_first(PIXEL_RULES, image)


def _where_else(coco: CocoSet, finder: FileFinder, path: str) -> str:
    """What finds the file of an image that is not there."""
    name = os.path.relpath(path, finder.folder)
    if found := finder.find(name):
        fix = f"python tools/fix_annotations.py {coco.path} OUT.json --image-folder {finder.folder} writes such names."
        what = f"{name!r} is there as {found[0]!r} ({found[1]}). {fix}"
    elif coco.root and (found := FileFinder(coco.root).find(name)):
        folder = os.path.dirname(found[0])
        what = f"{name!r} is {found[0]!r} below data_root={coco.root!r}: write data_prefix=dict(img={folder + '/'!r})."
    else:
        what = "Restore the file, or remove its entry."
    return f"{coco.file_key} is the path from {finder.folder}, with / instead of a backslash (\\) and no %20. {what}"
