"""The command lines: they answer at once, say the same by script and by ``asl-mmdet``, and share their words."""

import argparse
import inspect
import json
import re
import shlex
import subprocess
import sys
from collections import defaultdict

import pytest
from commands import ROOT
from mmengine import logging

import asl_mmdet_cli
from asl_mmdet.audit.findings import Limits
from asl_mmdet.checks.rules import RULES
from asl_mmdet.cli import train
from asl_mmdet.cli.common import read_options
from asl_mmdet.coco.drop_boxes import PROTOCOLS, drop_boxes
from asl_mmdet.coco.importing import FORMATS, import_dataset
from asl_mmdet.coco.shapes import MAX_CLASSES, make_shapes
from asl_mmdet.thresholds.calibration import METHODS
from asl_mmdet.thresholds.choose import Settings
from asl_mmdet.tuning import FAMILIES
from asl_mmdet_cli import COMMANDS, arguments, parse, parser_of
from asl_mmdet_cli.messages import without_foreign_line

TOOLS = sorted(path.stem for path in (ROOT / "tools").glob("*.py"))
CONFIG = str(ROOT / "configs/shapes/atss_r18_asl_shapes.py")
# What a tool says with these arguments; FILE is a file that exists, and FOLDER a folder.
REFUSED = {
    "train": [("CONFIG --resume nowhere.pth", "there is no checkpoint nowhere.pth"), ("CONFIG --ignore D999", "D999")],
    "test": [
        ("CONFIG nowhere.pth", "there is no checkpoint nowhere.pth"),
        ("CONFIG FOLDER", "folder.json is a folder: name the checkpoint in it"),
        ("FOLDER FILE", "folder.json is a folder: name the config in it"),
        ("CONFIG FILE --thresholds nowhere.json", "there is no thresholds file nowhere.json"),
        ("CONFIG FILE --out predictions.csv", "must end in .pkl"),
        ("CONFIG FILE --cfg-options model", "'model' is not KEY=VALUE"),
        ("CONFIG FILE --cfg-options a=[1,2", "'a=[1,2' has a bracket without its other half"),
    ],
    "check_dataset": [("CONFIG --splits all", "invalid choice"), ("CONFIG --ignore D999", "D999")],
    "report": [("CONFIG nowhere", "there is no work directory nowhere"), ("CONFIG FOLDER --images 0", "from 1, not 0")],
    "tune_loss": [
        ("CONFIG --minutes 0", "use a number in (0, inf), not 0"),
        ("CONFIG --seeds 1 1", "--seeds 1 1: use"),
        ("CONFIG --trials 0", "--trials: use a whole number from 1, not 0"),
        ("CONFIG --val-share 1", "--val-share: use a number in (0, 1), not 1"),
        ("CONFIG --losses hinge", "invalid choice: 'hinge'"),
    ],
    "tune_thresholds": [
        ("CONFIG FILE --predictions nowhere.pkl", "there is no file of predictions nowhere.pkl"),
        ("CONFIG FILE --iou nan", "use a number in (0, 1], not nan"),
        ("CONFIG FILE --precision 2", "--precision: use a number in (0, 1), not 2"),
        ("CONFIG FILE --folds 1", "--folds: use a whole number from 2, not 1"),
        ("CONFIG FILE --precision 0.9 --recall 0.9", "not allowed with argument"),
    ],
    "audit_labels": [
        ("CONFIG", "name a checkpoint, train models by --folds K"),
        ("CONFIG nowhere.pth", "there is no checkpoint nowhere.pth"),
        ("CONFIG FILE --folds 2", "leave it out, or checkpoint"),
        ("CONFIG FILE --jobs 2", "nothing is trained without --folds"),
        ("CONFIG --findings nowhere.json --apply 0.4", "there is no file of findings nowhere.json"),
        ("CONFIG FILE --apply 0.4 --apply-to FILE", "exists: name another file, or overwrite it with --force"),
        ("CONFIG FILE --force", "go with --apply SCORE"),
    ],
    "predict": [
        ("CONFIG FILE nowhere --out new.json", "there is no folder of images nowhere"),
        ("CONFIG FILE FILE --out new.json", "file.json is a file: name the folder of images"),
        ("CONFIG FILE FOLDER --out FILE", "exists: name another file, or overwrite it with --force"),
        ("CONFIG FILE FOLDER --out FILE --ids-of FILE --force", "is the file that is read"),
        ("CONFIG FILE FOLDER --out new.csv", "the file must end in .json"),
        ("CONFIG FILE FOLDER --out new.json --score-thr 2", "use a number in [0, 1], not 2"),
        ("CONFIG FILE FOLDER --out new.json --ids-of nowhere.json", "there is no annotation file nowhere.json"),
    ],
    "export_onnx": [("CONFIG nowhere.pth --out new.onnx", "no checkpoint"), ("CONFIG FILE --out a.pt", "end in .onnx")],
    "benchmark": [
        ("", "name a plan"),
        ("--compare FOLDER nowhere", "there is no folder of rows nowhere"),
        ("FILE --gpus 2", "name a --launcher"),
        ("FILE --srun-options x", "use --launcher slurm"),
    ],
    "fix_annotations": [
        ("nowhere.json --out new.json", "there is no annotation file nowhere.json"),
        ("FILE --out FILE --force", "is the file that is read"),
    ],
    "drop_boxes": [
        ("FILE --out FILE --force", "is the file that is read"),
        ("FOLDER --out new.json", "folder.json is a folder: name the annotation file in it"),
        ("FILE --out new.json --rate 1.5", "use a number in [0, 1], not 1.5"),
        ("FILE --out FOLDER.json", "is a folder: name a file"),
    ],
    "merge_datasets": [
        ("FILE --out new.json", "at least two files"),
        ("FILE FILE --out new.json", "a file is named twice"),
        ("FILE nowhere.json --out new.json --folders a", "1 folders for 2 files"),
    ],
    "import_dataset": [
        ("nowhere new", "there is no folder nowhere"),
        ("FOLDER", "--out is missing: name the folder to write"),
        ("FOLDER FILE", "file.json is a file, not a folder"),
        ("FOLDER . --force", "are in one another: name a folder beside it"),
        ("FOLDER new --group-by (", "is neither 'folder' nor a regular expression"),
        ("FOLDER new --val 1", "use a number in (0, 1), not 1"),
    ],
    "make_shapes": [
        ("--out FOLDER", "exists: name another folder, or replace it with --force"),
        ("--out new --num-classes 49", "use a whole number from 1 to 48, not 49"),
    ],
    "convert_asl_checkpoint": [("nowhere.pth --out new.pth", "there is no checkpoint nowhere.pth")],
}
CALLS = """
import contextlib, io, json, runpy, sys
before, said = set(sys.modules), {}
for tool, argv in json.loads(sys.argv[1]).items():
    said[tool] = []
    for sys.argv in argv:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            code = None
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
            except SystemExit as stop:
                code = stop.code
        said[tool].append([code if isinstance(code, int) else 1, out.getvalue() + str(code)])
names = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps([said, sorted(names - set(sys.stdlib_module_names))]))
"""


def options_of(tool):
    return [action for action in parser_of(tool)._actions if action.option_strings and action.dest != "help"]


def without_inputs(tool):
    """A command line whose files do not exist."""
    argv = []
    for action in parser_of(tool)._actions:
        if action.required and action.option_strings:
            argv += [action.option_strings[0], f"new{action.metavar.removeprefix('FILE')}"]
        elif not action.option_strings:
            argv += [f"nowhere{number}.json" for number in range(2 if action.nargs == "+" else 1)]
    return argv


def refused_by(tool):
    """Command lines and what is said to them."""
    words = {"CONFIG": CONFIG, "FILE": "file.json", "FOLDER": "folder.json", "FOLDER.json": "folder.json"}
    refused = [([words.get(word, word) for word in text.split()], message) for text, message in REFUSED[tool]]
    if tool != "make_shapes":  # it reads nothing
        refused.append((without_inputs(tool), "nowhere"))
    return [*refused, (["--nothing"], "error:")]


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Exit code and text of all calls of the scripts in one new interpreter, which imports nothing else for them."""
    folder = tmp_path_factory.mktemp("said")
    (folder / "file.json").write_text("{}")
    (folder / "folder.json").mkdir()
    calls = {tool: [["--help"], *(argv for argv, _ in refused_by(tool))] for tool in TOOLS}
    calls = {tool: [[str(ROOT / f"tools/{tool}.py"), *one] for one in argv] for tool, argv in calls.items()}
    command = [sys.executable, "-c", CALLS, json.dumps(calls)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, imported = json.loads(done.stdout)
    assert imported == ["asl_mmdet_cli"]
    assert sorted(path.name for path in folder.iterdir()) == ["file.json", "folder.json"]
    return said


@pytest.mark.parametrize("tool", TOOLS)
def test_help_and_refusals_import_the_standard_library_alone(tool, said):
    (code, text), *others = said[tool]
    assert code == 0 and f"python tools/{tool}.py" in text and "Example:" in text
    for (argv, message), (code, text) in zip(refused_by(tool), others, strict=True):
        assert code != 0 and message in text, (argv, text)
        assert "error:" in text and "Traceback" not in text


def test_every_script_is_a_subcommand_and_has_its_two_modules():
    assert sorted(COMMANDS.values()) == TOOLS == sorted(REFUSED)
    work = {path.stem for path in (ROOT / "asl_mmdet/cli").glob("*.py")} - {"__init__", "common", "inference"}
    assert sorted(work) == TOOLS
    for name in TOOLS:
        assert f'\n    run("{name}")\n' in (ROOT / f"tools/{name}.py").read_text()


@pytest.mark.parametrize("command, tool", COMMANDS.items())
def test_subcommand_explains_what_the_script_does(command, tool, capsys):
    with pytest.raises(SystemExit) as stop:
        asl_mmdet_cli.main([command, "--help"])
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    expected = " ".join(parser_of(tool).format_help().split())
    assert shown == expected.replace(f"python tools/{tool}.py", f"asl-mmdet {command}")


def test_overview_has_a_line_for_each_command_and_imports_nothing_else():
    code = "import sys, asl_mmdet_cli\ntry: asl_mmdet_cli.main({})\nfinally: print('torch' in sys.modules)"
    help_, wrong = (
        subprocess.run([sys.executable, "-c", code.format(argv)], cwd=ROOT, capture_output=True, text=True, check=False)
        for argv in (["--help"], ["trian"])
    )
    assert (help_.returncode, wrong.returncode) == (0, 2)
    assert help_.stdout.endswith("False\n") and wrong.stdout == "False\n"
    for command, tool in COMMANDS.items():
        assert re.search(rf"^    {command}\s+{re.escape(asl_mmdet_cli.summary(tool))}$", help_.stdout, re.M)
        assert command in wrong.stderr


def test_training_by_either_way_keeps_its_memory_and_other_commands_do_not(monkeypatch):
    done = []
    monkeypatch.setattr("asl_mmdet.compat.allocator.keep_memory", lambda: done.append("keeps"))
    monkeypatch.setattr("asl_mmdet.cli.train.main", lambda args: done.append(args.config))
    monkeypatch.setattr("asl_mmdet.cli.check_dataset.main", lambda args: done.append("checks"))
    asl_mmdet_cli.main(["train", CONFIG])
    asl_mmdet_cli.run("train", [CONFIG])
    asl_mmdet_cli.main(["check-dataset", CONFIG])
    assert done == ["keeps", CONFIG, "keeps", CONFIG, "checks"]
    assert train is sys.modules["asl_mmdet.cli.train"]


def test_only_the_line_about_onedl_is_dropped(capsys):
    """The commands run so; that no other place prints the line is seen in the training of test_aborted_launch.py."""
    with without_foreign_line():
        for name in ("OneDL", "mine"):
            logging.print_log(f"Could not import {name}")
    logging.print_log("Could not import OneDL")
    assert capsys.readouterr().out.split("\n") == ["Could not import mine", "Could not import OneDL", ""]


# The same words for the same thing ------------------------------------------------------------------------------------


def test_an_option_is_the_same_in_every_command():
    found = defaultdict(set)
    for tool in TOOLS:
        for action in options_of(tool):
            kind = re.sub(r"^FILE\..*|^FOLDER$", "PATH", action.metavar) if isinstance(action.metavar, str) else None
            for name in action.option_strings:
                found[name].add((kind, action.nargs))
    assert {name: kinds for name, kinds in found.items() if len(kinds) > 1} == {}


@pytest.mark.parametrize(
    "metavar, names",
    [
        ("SCORE", {"--score-thr", "--apply"}),  # the second says from where on
        ("SHARE", {"--rate", "--val-share", "--tolerance"}),  # of missing labels; of images; of an output
        ("K", {"--folds"}),
        ("SEED", {"--seed", "--seeds"}),
        ("FOLDER", {"--out", "--work-dir", "--show-dir", "--folders", "--image-folder"}),
    ],
)
def test_one_thing_has_one_name(metavar, names):
    options = [action for tool in TOOLS for action in options_of(tool)]
    assert {name for action in options if action.metavar == metavar for name in action.option_strings} == names


@pytest.mark.parametrize("tool", TOOLS)
def test_files_are_written_to_out_and_overwritten_with_force(tool):
    options = {name: action for action in options_of(tool) for name in action.option_strings}
    inputs = {action.dest for action in parser_of(tool)._actions if not action.option_strings}
    assert inputs <= {"config", "checkpoint", "work_dir", "folder", "plan", "annotations", "out"}
    assert not {"--output", "--overwrite", "--min-score", "--threshold", "--missing-rate"} & options.keys()
    if options.get("--out") and "required" in options["--out"].help:
        assert "--force" in options
    # A run and its log: MMDetection's two, and what starts such a process itself.
    assert "--work-dir" not in options or tool in ("train", "test")
    assert "--launcher" not in options or tool in ("train", "test", "benchmark")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_help_is_one_screen_with_what_is_required_an_explanation_and_the_defaults(tool, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = parser_of(tool)
    text = parser.format_help()
    usage, _, explanation, *_ = text.split("\n\n")
    assert len(text.splitlines()) <= 40
    assert re.fullmatch(rf"usage: python tools/{tool}\.py [^\n]*\[options\]", usage)
    assert not explanation.startswith("Example") and len(explanation.split()) >= 6
    for action in options_of(tool):
        name = action.option_strings[0]
        assert (name in usage) == (action.help or "").endswith("; required"), name
        if action.nargs != 0 and action.default not in (None, "", []) and action.help != argparse.SUPPRESS:
            value = " ".join(map(str, action.default)) if isinstance(action.default, list) else action.default
            assert f"(default: {value})" in " ".join(text.split()), name


@pytest.mark.parametrize("tool", TOOLS)
def test_values_are_named_and_examples_can_be_run(tool):
    for action in parser_of(tool)._actions:
        assert action.metavar or action.choices or action.nargs == 0 or action.dest == "local_rank", action
    module = sys.modules[f"asl_mmdet_cli.{tool}"]
    (example,) = re.findall(rf"^Example:\n    python tools/{tool}\.py (.*)$", module.__doc__, re.M)
    parser_of(tool).parse_args(shlex.split(example))


# What a parser repeats of the library, which it must not import ------------------------------------------------------


def defaults_of(tool):
    return {action.dest: action.default for action in parser_of(tool)._actions if action.default != "==SUPPRESS=="}


def choices_of(tool, dest):
    return next(action.choices for action in parser_of(tool)._actions if action.dest == dest)


def test_codes_of_rules_are_those_of_the_rules():
    assert arguments.rule_codes() == sorted(RULES)


def test_choices_and_defaults_are_those_of_the_library():
    assert choices_of("drop_boxes", "protocol") == PROTOCOLS
    assert choices_of("import_dataset", "format") == tuple(FORMATS)
    assert choices_of("tune_loss", "losses") == FAMILIES
    assert choices_of("tune_thresholds", "calibration") == [*METHODS, "none"]
    assert sys.modules["asl_mmdet_cli.make_shapes"].MAX_CLASSES == MAX_CLASSES
    assert defaults_of("audit_labels")["score_thr"] == Limits.min_score
    thresholds, settings = defaults_of("tune_thresholds"), Settings()
    assert (thresholds["folds"], thresholds["shrinkage"]) == (settings.folds, settings.shrinkage)
    assert (thresholds["beta"], thresholds["seed"]) == (settings.objective.value, settings.seed)
    functions = dict(drop_boxes=drop_boxes, make_shapes=make_shapes, import_dataset=import_dataset)
    for tool, function in functions.items():
        defaults = defaults_of(tool)
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                assert defaults[name] == parameter.default, (tool, name)


# Values --------------------------------------------------------------------------------------------------------------


def test_options_of_the_config_are_read_as_by_mmengine():
    args = parse(
        "check_dataset", [CONFIG, "--cfg-options", "a.b=1", "c=x,y", "--cfg-options", "d=[(1,2),(3,4)]", "e=None"]
    )
    read = read_options(args.cfg_options)
    assert read == {"a.b": 1, "c": ["x", "y"], "d": [(1, 2), (3, 4)], "e": None}
    assert read_options([]) == {}
    with pytest.raises(SystemExit, match=r"--cfg-options 'a=\[dict\(b=1,c=2\)\]' cannot be read"):
        read_options(["e=1", "a=[dict(b=1,c=2)]"])


@pytest.mark.parametrize(
    "interval, inside, outside",
    [
        ("(0, 1]", ("1e-9", "1"), ("0", "1.1", "nan", "x")),
        ("[0, 1)", ("0", ".99"), ("-0.1", "1")),
        ("(0, inf)", ("1e300",), ("0", "inf")),
    ],
)
def test_numbers_outside_of_their_interval_are_refused(interval, inside, outside):
    read = arguments.number(interval)
    assert [read(text) for text in inside] == [float(text) for text in inside]
    for text in outside:
        with pytest.raises(argparse.ArgumentTypeError, match=re.escape(f"use a number in {interval}, not {text}")):
            read(text)


def test_whole_numbers_are_whole():
    read = arguments.whole(1, 3)
    assert [read(text) for text in ("1", "3")] == [1, 3]
    for text in ("0", "4", "1.5", "x"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"use a whole number from 1 to 3, not {text}"):
            read(text)


@pytest.mark.parametrize(
    "name, line",
    [
        ("predict", "CONFIG FILE FOLDER {}out.json"),
        ("drop_boxes", "FILE {}out.json --rate 0.5"),
        ("merge_datasets", "FILE CONFIG {}out.json"),
        ("export_onnx", "CONFIG FILE {}out.onnx"),
        ("convert_asl_checkpoint", "FILE {}out.pth"),
        ("make_shapes", "{}shapes --num-train 3"),
    ],
)
def test_what_is_written_may_be_the_last_argument(name, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    words = line.replace("CONFIG", CONFIG).replace("FILE", "file").replace("FOLDER", ".")
    as_option, as_last = (vars(parse(name, words.format(option).split())) for option in ("--out ", ""))
    assert as_option == as_last and as_last["out"].name in words
