"""Split images in two, stratified by their classes, with groups of images on one side."""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np

from asl_mmdet.errors import UserError

_ROBOFLOW_COPY = re.compile(r"\.rf\.[0-9a-f]{8,}(?=\.[^.]+$)")  # it names the augmented copies of one image so


def group_of(name: str, group_by: str | None = None) -> str:
    r"""What images that must stay on one side have in common.

    Args:
        name: The path of an image below its data set's folder.
        group_by: 'folder', or a regular expression to look for in the path: its groups, or all of the match where it
            has none. An image without a match is alone. By default only the copies that Roboflow made of one image
            (``a.rf.<hash>.jpg``) belong together.

    Example:
        >>> group_of("clips/dawn_0012.jpg", r"^(.*)_\d+")
        'clips/dawn'
        >>> group_of("train/a_jpg.rf.0123456789abcdef.jpg")
        'a_jpg.jpg'
    """
    if group_by == "folder":
        return str(PurePosixPath(name).parent)
    if group_by is None:
        return _ROBOFLOW_COPY.sub("", PurePosixPath(name).name) if _ROBOFLOW_COPY.search(name) else name
    match = re.search(group_by, name)
    if match is None:
        return name
    return "\n".join(part or "" for part in match.groups()) if match.groups() else match[0]


def split_images(
    classes: Sequence[Iterable[Hashable]], share: float, seed: int = 0, groups: Sequence[Hashable] | None = None
) -> list[int]:
    """Choose a share of images that has about that share of the images of every class.

    Iterative stratification (Sechidis et al., 2011): the images of the class with the fewest images left go first, each
    to the side that lacks most of that class, then of all classes together. Where groups are given, a group goes as a
    whole, the largest ones of a class first.

    Args:
        classes: The classes of each image, none for one without an object.
        share: Of the images, in (0, 1).
        seed: Seed, >= 0, for ties; the same images come from the same one.
        groups: What each image belongs to; each is alone by default.

    Returns:
        The places of the images, in order.

    Raises:
        UserError: If ``share`` is out of range, or a side would have no image.

    Example:
        >>> split_images([{"cat"}] * 5 + [{"dog"}] * 5, 0.2)  # one of each
        [1, 8]
    """
    if not 0 < share < 1:
        raise UserError(f"share={share:g}: use a number between 0 and 1, such as 0.2")
    members: dict[Hashable, list[int]] = defaultdict(list)
    for place, group in enumerate(range(len(classes)) if groups is None else groups):
        members[group].append(place)
    # Of each group the images with each class, and under None all of them.
    counts = {
        group: Counter(c for place in places for c in (*set(classes[place]), None)) for group, places in members.items()
    }
    keys = list(members)
    order = [keys[i] for i in np.random.default_rng(seed).permutation(len(keys))]
    order.sort(key=lambda group: -len(members[group]))
    total = sum(counts.values(), Counter())
    lacks = [{c: part * number for c, number in total.items()} for part in (1 - share, share)]
    left, side = Counter(total), dict[Hashable, int]()
    with_class: dict[Hashable, list[Hashable]] = defaultdict(list)
    for group in order:
        for c in counts[group]:
            with_class[c].append(group)
    rank = {c: number for number, c in enumerate(sorted(total, key=repr))}  # sets have no order to rely on
    while len(side) < len(members):
        rarest = min((c for c in total if left[c] > 0), key=lambda c: (c is None, left[c], rank[c]))
        for group in with_class[rarest]:
            if group not in side:
                side[group] = int((lacks[1][rarest], lacks[1][None]) > (lacks[0][rarest], lacks[0][None]))
                for c, number in counts[group].items():
                    lacks[side[group]][c] -= number
                    left[c] -= number
    chosen = sorted(place for group, places in members.items() if side[group] for place in places)
    if not 0 < len(chosen) < len(classes):
        raise UserError(
            f"share={share:g} leaves a side of {len(classes)} images in {len(members)} groups without one: use another "
            "share, or smaller groups"
        )
    return chosen
