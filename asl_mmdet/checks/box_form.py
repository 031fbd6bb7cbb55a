"""What the boxes of a file show only together: corners in the place of sizes, and boxes that are there twice."""

from collections.abc import Iterable

from asl_mmdet.coco.annotation_file import Annotation

_MANY, _SHARE = 3, 0.05  # boxes that one does not take for corners by chance, if that is this part of all
_FEW = 5  # boxes that say nothing by their places


class BoxForm:
    """What speaks for x1, y1, x2, y2 in a set of boxes: their areas and their places in the images; and its repeats."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.number = self.sticking_out = self.fitting = 0
        self.proven: list[str] = []  # the boxes whose area is that of the corners
        self.repeated: list[str] = []
        self._seen: set[int] = set()  # boxes with their image and class, as one number: a data set has millions

    def add(self, annotation: Annotation) -> None:
        """Look at the box of one annotation, which is four numbers."""
        entry, size = annotation.entry, annotation.size
        (x, y, third, fourth), area = entry["bbox"], entry["area"]
        self.number += 1
        box = hash((entry["image_id"], entry["category_id"], bool(entry.get("iscrowd")), *entry["bbox"]))
        if box in self._seen:
            self.repeated.append(f"{annotation.where}: {entry['bbox']} of image {entry['image_id']}")
        self._seen.add(box)
        fits = third > x >= 0 and fourth > y >= 0
        if size is not None:
            fits = fits and third <= size[0] + 1 and fourth <= size[1] + 1
            self.fitting += fits
            self.sticking_out += x + third > size[0] + 1 or y + fourth > size[1] + 1
        if fits and _is_near(area, (third - x) * (fourth - y)) and not _is_near(area, third * fourth):
            self.proven.append(f"{annotation.where}: {entry['bbox']} with area={area:g}")

    def corners(self) -> Iterable[str]:
        """The boxes that are corners; none where they are as they should be."""
        number = len(self.proven)
        if number and (2 * number >= self.number or (number >= _MANY and number >= _SHARE * self.number)):
            return self.proven
        if self.number >= _FEW and self.fitting == self.number and 3 * self.sticking_out >= self.number:
            return [f"all {self.number} boxes lie in their images as corners, {self.sticking_out} do not as sizes"]
        return ()


def _is_near(area: float, product: float) -> bool:
    return abs(area - product) <= max(0.002 * abs(product), 0.01)
