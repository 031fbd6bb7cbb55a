"""A held-out split of the training set, so that the validation set stays unseen."""

from typing import Any

import numpy as np

from asl_mmdet.coco.format import of_images
from asl_mmdet.errors import UserError

Coco = dict[str, Any]


def split_annotations(coco: Coco, share: float, seed: int = 0) -> tuple[Coco, Coco]:
    """Split the images of a COCO-format content at random, with their annotations.

    Args:
        coco: The content of an annotation file.
        share: Of the images, for the second part; in (0, 1).
        seed: Seed, >= 0; the same parts come from the same one.

    Returns:
        The part to train on, and the held-out part. Both have all categories.

    Raises:
        UserError: If ``share`` is out of range, or a part would have no annotation.
        KeyError: If ``coco`` has no ``images`` or ``annotations``.

    Example:
        >>> images, boxes = [dict(id=i) for i in range(10)], [dict(id=i, image_id=i) for i in range(10)]
        >>> train, held_out = split_annotations(dict(images=images, annotations=boxes), 0.2)
        >>> len(train["images"]), len(held_out["annotations"])
        (8, 2)
    """
    if not 0 < share < 1:
        raise UserError(f"share={share:g}: use a number between 0 and 1, such as 0.2")
    ids = sorted(image["id"] for image in coco["images"])
    number = max(1, round(share * len(ids)))
    chosen = {ids[i] for i in np.random.default_rng(seed).permutation(len(ids))[:number]}  # NumPy holds 64 bits
    parts = of_images(coco, set(ids) - chosen), of_images(coco, chosen)
    for part, name in zip(parts, ("to train on", "to evaluate on"), strict=True):
        if not part["annotations"]:
            raise UserError(
                f"share={share:g} leaves {len(part['images'])} of {len(ids)} images {name}, and they have no label: "
                "use another share"
            )
    return parts
