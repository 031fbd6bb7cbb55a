"""The fixtures of tests/ for the tests of this folder."""

from tests.conftest import _return_memory, _scope_of_file, _scope_of_test  # noqa: F401
