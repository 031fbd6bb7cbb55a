import pytest
from processes import stop_servers


@pytest.fixture(autouse=True, scope="package")
def _stop_servers():
    """What trainings are forked from takes 0.6 GB; other tests of the same worker need it no more."""
    yield
    stop_servers()
