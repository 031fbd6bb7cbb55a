"""COCO-format data sets whose images were labelled for some of the classes only."""

from functools import cached_property
from typing import Any

from mmdet.datasets import CocoDataset, LVISV1Dataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log

from asl_mmdet.coco.known_categories import COMPLETE, META_KEY, is_complete, known_categories
from asl_mmdet.errors import UserError
from asl_mmdet.hooks.known_classes import HAS_UNKNOWN_CLASS


class KnownClassesMixin:
    """Gives the data samples of a ``CocoDataset`` what :class:`~asl_mmdet.hooks.KnownClassesHook` asks for.

    Put it before the data set's class. It sets meta keys after the pipeline, so ``PackDetInputs`` needs no
    ``meta_keys`` for them:

    - ``known_classes``, a tuple of class indices: those that the image was labelled for, by
      :func:`asl_mmdet.coco.known_categories.known_categories`;
    - ``complete``: whether the image's record has ``"complete": true``;
    - ``has_unknown_class``: whether it has boxes of the category ``unknown_class``, labelled by the number of classes.

    Labels go by the names in ``metainfo.classes``, in any order. A class that the file does not have is unknown in all
    of its images, so that files with different classes can stand in one ``ConcatDataset``.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotations, and say which classes the file does not have.

        Raises:
            UserError: If it has none of the classes, or an image has an annotation of a class that it was not labelled
                for.
        """
        data_list: list[dict[str, Any]] = super().load_data_list()  # type: ignore[misc]
        classes = self.metainfo["classes"]  # type: ignore[attr-defined]
        if unlabelled := [name for i, name in enumerate(classes) if i not in self._labels_by_category.values()]:
            print_log(
                f"{self.ann_file} has no category {', '.join(unlabelled)}: unknown in its images",  # type: ignore[attr-defined]
                "current",
            )
        return data_list

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """What MMDetection makes of an image's record, and its known classes."""
        self.cat2label = self._labels_by_category  # MMDetection's goes by the order of the file
        self.cat_ids = list(self.cat2label)
        number = len(self.metainfo["classes"])  # type: ignore[attr-defined]
        info: dict[str, Any] = super().parse_data_info(raw_data_info)  # type: ignore[misc]
        annotated = {a["category_id"] for a in raw_data_info["raw_ann_info"] if not a.get("ignore")}
        annotated -= {category for category, label in self.cat2label.items() if label == number}
        try:
            known = known_categories(raw_data_info["raw_img_info"], annotated, self._names)
            info[COMPLETE] = is_complete(raw_data_info["raw_img_info"])
        except UserError as error:
            raise UserError(f"{self.ann_file}: {error}") from error  # type: ignore[attr-defined]
        info[META_KEY] = tuple(sorted(label for i in known if (label := self.cat2label.get(i, number)) < number))
        info[HAS_UNKNOWN_CLASS] = any(instance["bbox_label"] == number for instance in info["instances"])
        return info

    def prepare_data(self, idx: int) -> Any:
        """One image through the pipeline, with what is known of it in the data sample's metainfo."""
        info = self.get_data_info(idx)  # type: ignore[attr-defined]
        metainfo = {key: info[key] for key in (META_KEY, COMPLETE, HAS_UNKNOWN_CLASS)}
        data = self.pipeline(info)  # type: ignore[attr-defined]
        samples = data.get("data_samples", []) if isinstance(data, dict) else []
        for sample in samples if isinstance(samples, list) else [samples]:  # a list with test-time augmentation
            sample.set_metainfo(metainfo)
        return data

    @cached_property
    def _names(self) -> dict[int, str]:
        api = self.coco if hasattr(self, "coco") else self.lvis  # type: ignore[attr-defined]
        return {i: category["name"] for i, category in api.cats.items()}

    @cached_property
    def _labels_by_category(self) -> dict[int, int]:
        classes = list(self.metainfo["classes"])  # type: ignore[attr-defined]
        labels = {i: classes.index(name) for i, name in self._names.items() if name in classes}
        if not labels:
            raise UserError(
                f"{self.ann_file} has none of the {len(classes)} classes of metainfo ({', '.join(classes[:5])}, ...): "  # type: ignore[attr-defined]
                f"its categories are {', '.join(list(self._names.values())[:30])}"
            )
        return labels


@DATASETS.register_module()
class KnownClassesCoco(KnownClassesMixin, CocoDataset):
    """A ``CocoDataset`` whose images were labelled for some of the classes only; see :class:`KnownClassesMixin`.

    Args:
        *args: As ``CocoDataset``.
        metainfo: ``dict(classes=...)``, the common list of all data sets.
        unknown_class: The name of a category whose boxes are of any of the classes, nobody knows which, or of none of
            them. ``KnownClassesHook`` must then be in ``custom_hooks``: MMDetection's heads take their label for
            background.
        **kwargs: As ``CocoDataset``.

    Raises:
        UserError: If there are no classes, or ``unknown_class`` is one of them.
    """

    def __init__(
        self, *args: Any, metainfo: dict[str, Any] | None = None, unknown_class: str | None = None, **kwargs: Any
    ) -> None:
        classes = (metainfo or {}).get("classes")
        if not isinstance(classes, (list, tuple)) or not classes:
            raise UserError(
                f"{type(self).__name__} got metainfo={metainfo!r}: write metainfo=dict(classes=(...)) with all classes "
                "of the model, the same in every data set"
            )
        if unknown_class in classes:
            raise UserError(
                f"{type(self).__name__} got unknown_class={unknown_class!r}, which is one of metainfo.classes: take it "
                "out of them"
            )
        self.unknown_class = unknown_class
        super().__init__(*args, metainfo=metainfo, **kwargs)

    @cached_property
    def _labels_by_category(self) -> dict[int, int]:
        labels = super()._labels_by_category
        number = len(self.metainfo["classes"])
        return labels | {i: number for i, name in self._names.items() if name == self.unknown_class}


@DATASETS.register_module()
class KnownClassesLVIS(KnownClassesMixin, LVISV1Dataset):
    """LVIS v1 with its ``neg_category_ids`` and ``not_exhaustive_category_ids``; see :class:`KnownClassesMixin`.

    Args:
        *args: As MMDetection's ``LVISV1Dataset``.
        **kwargs: Likewise.
    """

    @cached_property
    def _labels_by_category(self) -> dict[int, int]:
        return {category: label for label, category in enumerate(self.cat_ids)}  # all of LVIS, in its own order
