"""What is wrong with an image file, whatever its format; every kind is made here."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from asl_mmdet.coco.image_files import ImageFile, Loading, opens_with_pillow, without_pixel_limit

NOISE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (101, 149, 3), np.uint8), (0, 0), 3)
FLAT = np.full((101, 149, 3), (40, 90, 200), np.uint8)
FLAT_BELOW = np.where(np.arange(101)[:, None, None] < 60, NOISE, FLAT)  # as a letterbox or a sky
JPEG = {
    "plain": {},
    "coarse": dict(quality=30, subsampling=2),
    "fine": dict(quality=95, subsampling=0, optimize=True),
    "restarts": dict(restart_marker_rows=1),
    "progressive": dict(progressive=True),
}


def encoded(pixels, kind="JPEG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def file_of(content, folder, *loading):
    path = folder / "image"
    path.write_bytes(content)
    return ImageFile(str(path), *loading)


def with_thumbnail(content, **tags):
    """The same JPEG with an EXIF block as a camera writes it: a whole small JPEG is in it."""
    small = encoded(NOISE[:32, :32].copy())
    block = Image.Exif()
    block[0x0112] = 1
    data = block.tobytes() + small
    return content[:2] + b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data + content[2:]


@pytest.mark.parametrize("image", [NOISE, FLAT, FLAT_BELOW], ids=["noise", "flat", "flat below"])
@pytest.mark.parametrize("options", JPEG.values(), ids=JPEG)
def test_whole_jpeg_is_whole_and_a_cut_one_is_not(options, image, tmp_path):
    content = encoded(image, **options)
    for whole in (content, content + b"what a camera writes behind it", with_thumbnail(content)):
        assert not file_of(whole, tmp_path).is_truncated
    for part in (0.3, 0.6, 0.95):
        cut = content[: int(len(content) * part)]
        assert file_of(cut, tmp_path).is_truncated
        assert file_of(cut + bytes(5000), tmp_path).is_truncated  # the rest of a file that was to be as large
        thumbnail = with_thumbnail(content)
        assert file_of(thumbnail[: len(thumbnail) - len(content) + len(cut)], tmp_path).is_truncated


def test_a_whole_image_is_looked_at_without_a_word(tmp_path, capfd):
    assert not file_of(encoded(FLAT), tmp_path).is_truncated
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("options", [o for name, o in JPEG.items() if name != "progressive"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_jpeg_that_was_cut_and_given_an_end_is_truncated(part, options, tmp_path):
    content = encoded(NOISE, **options)
    assert file_of(content[: int(len(content) * part)] + b"\xff\xd9", tmp_path).is_truncated


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000"])
def test_cut_file_is_truncated_or_cannot_be_read(kind, tmp_path):
    content = encoded(NOISE, kind)
    assert not file_of(content, tmp_path).is_truncated
    assert not file_of(content + b"more", tmp_path).is_truncated
    for part in (0.3, 0.6, 0.95):
        cut = file_of(content[: int(len(content) * part)], tmp_path)
        assert cut.is_truncated or cut.pixels is None


def test_end_of_png_in_a_text_is_no_end(tmp_path):
    content = encoded(NOISE, "PNG")
    text = b"IEND of the comment"
    chunk = len(text).to_bytes(4, "big") + b"tEXt" + text + bytes(4)
    content = content[:33] + chunk + content[33:]
    assert file_of(content[: len(content) // 2], tmp_path).is_truncated


def oriented(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(NOISE, kind, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_read(kind, orientation, tmp_path):
    file = file_of(oriented(orientation, kind), tmp_path)
    assert file.orientation == orientation
    if orientation == 1:
        assert file.stored_shape is None
    elif kind == "JPEG":
        assert file.stored_shape == (101, 149)
        assert file.pixels.shape[:2] == ((149, 101) if orientation >= 5 else (101, 149))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientation_out_of_range_is_none(value, tmp_path):
    assert file_of(oriented(value, "JPEG"), tmp_path).orientation == 1


def test_loader_that_ignores_the_tag_reads_the_image_as_stored(tmp_path):
    file = file_of(oriented(6, "JPEG"), tmp_path, Loading("color_ignore_orientation"))
    assert file.pixels.shape[:2] == (101, 149) and not file.loading.turns and file.stored_shape is None


def written(name, pixels, folder):
    path = folder / name
    assert cv2.imwrite(str(path), pixels)
    return path


GREY = NOISE[..., 0].copy()
DEEP = {
    "12 bits": ("a.png", GREY.astype(np.uint16) * 16),
    "10 bits": ("a.png", GREY.astype(np.uint16) * 4),
    "12 bits in colour": ("a.png", NOISE.astype(np.uint16) * 16),
    "12 bits, TIFF": ("a.tif", GREY.astype(np.uint16) * 16),
    "12 bits, PGM": ("a.pgm", GREY.astype(np.uint16) * 16),
    "12 bits, signed": ("a.tif", GREY.astype(np.int16) * 16),
}


@pytest.mark.parametrize("name, pixels", DEEP.values(), ids=DEEP)
def test_few_bits_in_a_deep_file_are_lost(name, pixels, tmp_path):
    file = ImageFile(str(written(name, pixels, tmp_path)))
    assert file.lost_range.startswith(f"{pixels.dtype} from {pixels.min()} to {pixels.max()} is read as ")


def test_pillow_saturates_what_has_more_than_8_bits(tmp_path):
    path = written("a.png", GREY.astype(np.uint16) * 257, tmp_path)
    assert ImageFile(str(path)).lost_range == ""
    assert ImageFile(str(path), Loading(backend="pillow")).lost_range.endswith("is read as 255 to 255")


@pytest.mark.parametrize("pixels", [NOISE, FLAT, np.zeros_like(NOISE), np.full_like(NOISE, 255), NOISE // 8])
def test_8_bits_are_never_lost(pixels, tmp_path):
    assert ImageFile(str(written("a.png", pixels, tmp_path))).lost_range == ""


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1"])
def test_usual_kinds_of_pixels_have_nothing_wrong(mode, tmp_path):
    Image.fromarray(NOISE).convert(mode).save(tmp_path / "a.png")
    file = ImageFile(str(tmp_path / "a.png"))
    assert file.pixels.shape == NOISE.shape
    assert (file.is_truncated, file.orientation, file.lost_range) == (False, 1, "")


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF", b"\0\5\x16\7" + bytes(99)]
)
def test_what_is_no_image_has_no_pixels_and_raises_nothing(content, tmp_path):
    file = file_of(content, tmp_path)
    assert file.pixels is None
    assert (file.orientation, file.stored_shape, file.lost_range) == (1, None, "")
    assert not opens_with_pillow(content)


def test_file_that_is_not_there_has_no_content(tmp_path):
    assert ImageFile(str(tmp_path / "nothing.jpg")).content == b""


def test_pillow_opens_large_images_and_has_its_limit_again(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with without_pixel_limit():
        Image.open(io.BytesIO(encoded(NOISE))).load()
    assert Image.MAX_IMAGE_PIXELS == 100
    assert opens_with_pillow(encoded(NOISE))


def test_deep_grey_is_nothing_that_pillow_converts(tmp_path):
    assert not opens_with_pillow(written("a.png", GREY.astype(np.uint16), tmp_path).read_bytes())
    assert not opens_with_pillow(written("a.tif", GREY.astype(np.float32), tmp_path).read_bytes())


@pytest.mark.parametrize("kind", ["LoadImageFromFile", "mmdet.LoadImageFromFile"])
def test_loading_is_that_of_the_pipeline(kind):
    block = dict(type=kind, color_type="unchanged", imdecode_backend="pillow")
    assert Loading.of([dict(type="Other"), block]) == Loading("unchanged", "pillow")
    assert Loading.of([dict(type=kind)]) == Loading.of(None) == Loading()
