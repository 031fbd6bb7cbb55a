"""Image files as a pipeline reads them, and what is wrong with one: cut off, turned by its EXIF tag, nearly black."""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from asl_mmdet.config.tree import type_name

ORIENTATION = 0x0112  # the EXIF tag
DARK = 64  # of 256: what is left of values of up to 14 bits in a file of 16
SUFFIXES = (
    *(".avif", ".bmp", ".dib", ".gif", ".heic", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"),
    *(".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
_EIGHT_BITS = ("1", "CMYK", "L", "LA", "LAB", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")  # Pillow's modes
_MARKER = re.compile(rb"\xff+([^\x00\xff])")  # in a JPEG; FF 00 is a byte of the image
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))
_END_OF_IMAGE = 0xD9
_MORE = b"\x55\xaa" * 32  # bits that no decoder needs behind a whole image


@dataclass(frozen=True)
class Loading:
    """How a pipeline decodes images.

    Args:
        color_type: ``color_type`` of its ``LoadImageFromFile``.
        backend: ``imdecode_backend`` there.
    """

    color_type: str = "color"
    backend: str = "cv2"

    @classmethod
    def of(cls, pipeline: Iterable[Any] | None) -> "Loading":
        """That of a pipeline in a config; the default where it loads images in another way."""
        for block in pipeline or []:
            if isinstance(block, dict) and type_name(block.get("type")) == "LoadImageFromFile":
                return cls(block.get("color_type", "color"), block.get("imdecode_backend") or "cv2")
        return cls()

    @property
    def turns(self) -> bool:
        """Whether it is left to the decoder to turn an image by its EXIF orientation."""
        return self.color_type in ("color", "grayscale")

    def decode(self, content: bytes) -> NDArray[Any] | None:
        """The pixels, (H, W, 3) or (H, W); None if it cannot decode them."""
        try:
            with without_pixel_limit():
                pixels: NDArray[Any] | None = mmcv.imfrombytes(content, flag=self.color_type, backend=self.backend)
        except Exception:  # of OpenCV, Pillow, TurboJPEG or tifffile, for a file that is broken or empty
            return None
        return pixels


@dataclass
class ImageFile:
    """One image; it is read when something about it is asked."""

    path: str
    loading: Loading = Loading()

    @cached_property
    def content(self) -> bytes:
        """The bytes, none if they cannot be read."""
        try:
            return Path(self.path).read_bytes()
        except OSError:
            return b""

    @cached_property
    def pixels(self) -> NDArray[Any] | None:
        """The image as it is read, or None."""
        return self.loading.decode(self.content)

    @cached_property
    def is_truncated(self) -> bool:
        """Whether it lacks its end, for which a decoder may put in grey without a word; more behind the end is fine."""
        content = self.content
        if content.startswith(b"\xff\xd8"):
            end = _end_of_jpeg(content)
            return end is None or self._ends_early(end)
        if content.startswith(b"\x89PNG"):
            return not _has_end_of_png(content)
        if content.startswith(b"RIFF"):
            return int.from_bytes(content[4:8], "little") + 8 > len(content)
        return self.pixels is not None and _pillow_misses_data(content)

    def _ends_early(self, end: int) -> bool:
        """Whether a JPEG has fewer blocks than its size asks for, as one that was cut and given an end again.

        The last blocks are then flat, and more bits in front of the end change them. Pillow looks, since OpenCV prints
        of a whole image that its data are corrupt then.
        """
        if self.pixels is None or np.ptp(self.pixels[-4:, -4:].reshape(-1, *self.pixels.shape[2:]), axis=0).any():
            return False
        decode = Loading(backend="pillow").decode
        before, after = decode(self.content), decode(self.content[:end] + _MORE + self.content[end:])
        return before is not None and after is not None and not np.array_equal(before, after)

    @cached_property
    def orientation(self) -> int:
        """What its EXIF tag says: 1 as stored, 2 to 8 turned or mirrored. 1 without the tag."""
        try:
            with without_pixel_limit(), Image.open(io.BytesIO(self.content)) as image:
                value = image.getexif().get(ORIENTATION, 1)
        except Exception:  # of Pillow, for a file that it does not know or a block that is broken
            return 1
        return value if value in range(2, 9) else 1

    @cached_property
    def stored_shape(self) -> tuple[int, ...] | None:
        """Height and width as stored, where that differs from what is read in size or in order."""
        if self.orientation == 1 or not self.loading.turns or self.pixels is None:
            return None
        stored = Loading(f"{self.loading.color_type}_ignore_orientation", self.loading.backend).decode(self.content)
        return None if stored is None or np.array_equal(stored, self.pixels) else stored.shape[:2]

    @cached_property
    def lost_range(self) -> str:
        """In words what is left of an image of more than 8 bits, where most of it is lost; else empty."""
        pixels = self.pixels
        if pixels is None or pixels.dtype != np.uint8:
            return ""
        if pixels.max() >= DARK and (pixels[::8, ::8] == 255).mean() < 0.5:
            return ""
        try:
            whole = cv2.imdecode(np.frombuffer(self.content, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            return ""
        if whole is None or whole.dtype == np.uint8:
            return ""
        return f"{whole.dtype} from {whole.min():g} to {whole.max():g} is read as {pixels.min()} to {pixels.max()}"


def _end_of_jpeg(content: bytes) -> int | None:
    """Where the first image of a JPEG ends: not in the small one that a camera puts into its header."""
    place = 2
    while match := _MARKER.search(content, place):
        code, place = match[1][0], match.end()
        if code == _END_OF_IMAGE:
            return match.start()
        if code not in _WITHOUT_LENGTH:
            place += max(2, int.from_bytes(content[place : place + 2], "big"))
    return None


def _has_end_of_png(content: bytes) -> bool:
    place = 8
    while place + 12 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        if kind == b"IEND":
            return True
        place += 12 + length
    return False


def _pillow_misses_data(content: bytes) -> bool:
    try:
        with without_pixel_limit(), Image.open(io.BytesIO(content)) as image:
            image.load()
    except Exception as error:  # of Pillow; it is asked for this alone
        return isinstance(error, OSError) and "truncated" in str(error)
    return False


def opens_with_pillow(content: bytes) -> bool:
    """Whether Pillow reads an image of 8 bits a channel, which it can convert to RGB."""
    try:
        with without_pixel_limit(), Image.open(io.BytesIO(content)) as image:
            image.load()
            return image.mode in _EIGHT_BITS
    except Exception:  # of Pillow
        return False


@contextmanager
def without_pixel_limit() -> Iterator[None]:
    """Have Pillow open images of any size; its limit is against files from strangers, and these are the user's own."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
