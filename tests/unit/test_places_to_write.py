"""What cannot be written is refused by every command before its work."""

from pathlib import Path

import pytest

from asl_mmdet_cli import arguments, parse

CONFIG = str(Path(__file__).parents[2] / "configs/shapes/atss_r18_asl_shapes.py")


@pytest.mark.parametrize(
    "line",
    [
        "train CONFIG --work-dir {}",
        "test CONFIG FILE --work-dir {}",
        "test CONFIG FILE --show-dir {}",
        "test CONFIG FILE --out {}/p.pkl",
        "tune_thresholds CONFIG FILE --out {}",
        "tune_loss CONFIG --out {}",
        "audit_labels CONFIG FILE --out {}",
        "audit_labels CONFIG FILE --apply 0.4 --apply-to {}/a.json",
        "benchmark FILE --out {}",
        "predict CONFIG FILE . --out {}/o.json",
        "merge_datasets FILE CONFIG --out {}/m.json",
        "drop_boxes FILE {}/d.json",
        "fix_annotations FILE --out {}/f.json",
        "export_onnx CONFIG FILE --out {}/m.onnx",
        "convert_asl_checkpoint FILE --out {}/c.pth",
        "make_shapes --out {}",
        "import_dataset . --out {}",
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    name, *words = line.replace("CONFIG", CONFIG).replace("FILE", "file").split()
    for place in ("file", "file/below"):
        with pytest.raises(SystemExit):
            parse(name, [word.format(place) for word in words])
        assert f"cannot be written: {tmp_path / 'file'} is a file, not a folder" in capsys.readouterr().err
    monkeypatch.setattr(arguments.os, "access", lambda path, mode: False)
    with pytest.raises(SystemExit):
        parse(name, [word.format("new") for word in words])
    assert f"cannot be written: {tmp_path} is read-only" in capsys.readouterr().err
