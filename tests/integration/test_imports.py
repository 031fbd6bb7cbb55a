"""What a training run imports."""

import subprocess
import sys

UNNEEDED = ("jinja2", "mmpretrain", "pandas", "pyarrow", "sklearn")


def test_start_of_a_training_imports_nothing_for_reports_or_classifiers():
    code = f"import sys, asl_mmdet.cli.train; print([name for name in {UNNEEDED} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
