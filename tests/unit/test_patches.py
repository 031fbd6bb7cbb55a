"""What is replaced in other packages is replaced once, and can be taken back."""

import importlib
import sys

import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.runner.checkpoint import CheckpointLoader
from torch.utils.data import DataLoader

import asl_mmdet
from asl_mmdet.cli.common import user_errors_end_the_program
from asl_mmdet.compat import patches

ALL = (*patches.AT_IMPORT, patches.SAFE_LOADER, patches.NAMED_IMAGES)


@pytest.fixture(autouse=True)
def _as_before():
    before = CheckpointLoader._schemes[""]
    yield
    patches.undo()
    patches.apply()
    CheckpointLoader.register_scheme(prefixes="", loader=before, force=True)


def test_undo_puts_the_originals_back():
    patches.SAFE_LOADER.apply()
    patches.NAMED_IMAGES.apply()
    patches.undo()
    homes = {patch.get().__module__.partition(".")[0] for patch in ALL}
    codes = {patch.get().__code__.co_filename for patch in ALL}
    assert homes == {"mmengine", "mmcv"} and patches.__file__ not in codes


def test_applied_again_or_loaded_anew_nothing_is_wrapped_twice(tmp_path):
    patches.SAFE_LOADER.apply()
    patches.NAMED_IMAGES.apply()
    once = [patch.get() for patch in ALL]
    patches.apply()
    importlib.reload(patches)
    importlib.reload(asl_mmdet)
    again = sys.modules[patches.__name__]
    again.SAFE_LOADER.apply()
    again.NAMED_IMAGES.apply()
    assert [patch.get() for patch in (*again.AT_IMPORT, again.SAFE_LOADER, again.NAMED_IMAGES)] == once
    again.undo()
    assert not any(hasattr(patch.get(), "_replaced_by_asl_mmdet") for patch in ALL)
    torch.save(dict(state_dict=dict(weight=torch.ones(2))), tmp_path / "a.pth")
    again.SAFE_LOADER.apply()
    assert CheckpointLoader.load_checkpoint(str(tmp_path / "a.pth"))["state_dict"]["weight"].tolist() == [1, 1]


def test_wrapper_that_another_package_put_around_ours_stays():
    patch = patches.AT_IMPORT[0]
    ours = patch.get()

    def theirs(*args, **kwargs):
        return ours(*args, **kwargs)

    vars(theirs).update(vars(ours))  # as functools.wraps does
    patch.put(theirs)
    try:
        patch.apply()
        patch.undo()
        assert patch.get() is theirs
    finally:
        patch.put(ours)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_image_that_cannot_be_read_is_named(content, workers, tmp_path):
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    patches.NAMED_IMAGES.apply()
    load = LoadImageFromFile()
    loader = DataLoader([dict(img_path=str(path))], num_workers=workers, collate_fn=lambda items: load(items[0]))
    with pytest.raises(SystemExit) as end, user_errors_end_the_program():
        list(loader)
    (line,) = str(end.value).splitlines()
    assert line.startswith(f"error: the image {path} cannot be read (") and "check_dataset" in line
