"""What a training run imports."""

from processes import python_with_torch

UNNEEDED = ("jinja2", "mmpretrain", "pandas", "pyarrow", "sklearn")


def test_start_of_a_training_imports_nothing_for_reports_or_classifiers():
    code = f"import sys, asl_mmdet.cli.train; print([name for name in {UNNEEDED} if name in sys.modules])"
    done = python_with_torch(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_package_leaves_the_data_sets_of_mmdetection_alone():
    code = "import sys, asl_mmdet; print('mmdet.datasets' in sys.modules)"
    done = python_with_torch(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"
