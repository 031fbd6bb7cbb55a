"""What is wrong with data sets in COCO format: the rules, applied to a config's data sets."""

import os
from collections.abc import Iterable
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict

from asl_mmdet.checks.coco_set import Annotation, AnnotationFile, CocoSet, kind_of
from asl_mmdet.checks.finding import Finding, Findings, check
from asl_mmdet.checks.heads import class_counts
from asl_mmdet.checks.image_rules import FILTER_RULES, IMAGE_RULES, PIXEL_RULES, AnnotatedImage, left_out
from asl_mmdet.checks.item_rules import BOX_RULES, READ_BOX_RULES, REFERENCE_RULES
from asl_mmdet.checks.resizing import left_by
from asl_mmdet.checks.set_rules import FILE_RULES, OBJECT_RULES, SET_RULES, SHARED_RULES, Shared
from asl_mmdet.config_tree import find_datasets, find_type
from asl_mmdet.image_files import Loading


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
    for split in splits:
        for key, dataset in find_datasets(cfg.get(f"{split}_dataloader"), f"{split}_dataloader"):
            if not _is_local_coco(dataset):
                continue
            findings[key], images = _check_dataset(dataset, counts if split == "train" else {}, read_images)
            if split == "train":
                trained[key] = images
                continue
            for train_key, train_images in trained.items():
                findings[key] += check(SHARED_RULES, Shared(train_key, sorted(images & train_images)))
    return findings


def _is_local_coco(dataset: ConfigDict) -> bool:
    kind = find_type(DATASETS, dataset.get("type"))
    is_coco = kind_of(dataset) == "CocoMultiLabel" or (isinstance(kind, type) and issubclass(kind, CocoDataset))
    return is_coco and not dataset.get("backend_args")


def _check_dataset(
    dataset: ConfigDict, class_counts: dict[str, Any], read_images: bool
) -> tuple[list[Finding], set[str]]:
    """The findings of one data set, and the paths of its images."""
    file = AnnotationFile(os.path.join(dataset.get("data_root") or "", str(dataset.get("ann_file"))))
    findings = Findings()
    if findings.apply_first(FILE_RULES, file):
        return findings.result(), set()
    coco = CocoSet(dataset, file, class_counts)
    findings.apply(SET_RULES, coco)
    _check_annotations(coco, findings)
    findings.apply(OBJECT_RULES, coco)
    findings.apply_first(FILTER_RULES, coco)
    _check_images(coco, findings, read_images)
    return findings.result(), {os.path.normpath(path) for path in coco.image_paths.values()}


def _check_annotations(coco: CocoSet, findings: Findings) -> None:
    """Apply the rules to every annotation, and count those that are usable."""
    for entry in coco.annotations:
        annotation = Annotation(entry, coco)
        if findings.apply_first(REFERENCE_RULES, annotation) or entry["category_id"] not in coco.used:
            continue
        if coco.is_detection:
            if findings.apply_first(BOX_RULES, annotation) or annotation.size is None:
                continue
            findings.apply(READ_BOX_RULES, annotation)
        if not entry.get("ignore") and not entry.get("iscrowd"):
            coco.objects[entry["category_id"]] += 1


def _check_images(coco: CocoSet, findings: Findings, read_images: bool) -> None:
    listed: dict[str, set[str]] = {}
    pipeline = coco.dataset.get("pipeline")
    loading, resize, filtered = Loading.of(pipeline), left_by(pipeline), set(left_out(coco))
    for number, path in coco.image_paths.items():
        folder, name = os.path.split(path)
        if folder not in listed:  # one listing of a folder instead of a question for every file
            listed[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        size = coco.sizes.get(number)
        left = None if size is None or path in filtered else resize(size)
        image = AnnotatedImage(path, loading, name in listed[folder], size, left)
        if not findings.apply_first(IMAGE_RULES, image) and read_images:
            findings.apply_first(PIXEL_RULES, image)
