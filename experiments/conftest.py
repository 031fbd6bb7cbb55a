"""The fixtures of tests/ for the tests of this folder."""

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location("conftest_of_tests", Path(__file__).parents[1] / "tests" / "conftest.py")
assert _spec and _spec.loader
_of_tests = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_of_tests)
_return_memory, _scope_of_file, _scope_of_test = (
    getattr(_of_tests, name) for name in ("_return_memory", "_scope_of_file", "_scope_of_test")
)
