"""Which OpenMMLab distributions are installed here, and what to write to get a missing package.

Two lines of distributions have the same import names: OpenMMLab's own, which stopped in 2024 (``mmdet``, ...), and the
maintained one (``onedl-mmdetection``, ...).
"""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

# By import name: the distributions of OpenMMLab's own line, then that of the maintained one.
DISTRIBUTIONS = {
    "mmengine": ("mmengine", "onedl-mmengine"),
    "mmcv": ("mmcv", "mmcv-lite", "onedl-mmcv"),
    "mmdet": ("mmdet", "onedl-mmdetection"),
    "mmpretrain": ("mmpretrain", "onedl-mmpretrain"),
}
REQUIRED = ("mmengine", "mmcv", "mmdet")  # all but the pure functions need them
_CLASSIC = {
    "mmengine": "mmengine==0.10.7",
    "mmcv": "mmcv-lite==2.1.0",
    "mmdet": "mmdet==3.3.0",
    "mmpretrain": "mmpretrain==1.2.0",
}


def missing() -> list[str]:
    """The required packages that cannot be imported here."""
    return [name for name in REQUIRED if find_spec(name) is None]


def not_found(packages: list[str]) -> str:
    """The sentence about packages that are missing."""
    return f"{', '.join(packages)} cannot be found here. {how_to_install(packages)}."


def installed_version(distribution: str) -> str | None:
    """The version of a distribution, None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def installed(package: str) -> list[str]:
    """The distributions that give an OpenMMLab package here; more than one have overwritten each other's files."""
    return [name for name in DISTRIBUTIONS[package] if installed_version(name)]


def clashes() -> list[str]:
    """A line for every package that comes from more than one distribution, or an empty list."""
    found = {package: installed(package) for package in DISTRIBUTIONS}
    return [f"{package} comes from {' and '.join(names)}" for package, names in found.items() if len(names) > 1]


def how_to_install(packages: list[str]) -> str:
    """What to write to get OpenMMLab packages that are missing, without harm to what is installed."""
    there = [name for package in DISTRIBUTIONS for name in installed(package)]
    if not there:
        return (
            "In an empty environment `pip install 'asl-mmdet[full]'` (from a checkout: `pip install '.[full]'`) "
            "installs the maintained stack; or install MMDetection as its own documentation says"
        )
    if not all(name.startswith("onedl-") for name in there):  # OpenMMLab's own line
        names = " ".join(_CLASSIC[package] for package in packages)
        # The newest opencv-python, which mmengine asks for, needs numpy 2; the newest setuptools has no pkg_resources.
        pins = "'numpy<2' 'opencv-python<4.12' 'setuptools<81'"
        return f"Install it beside what you have: `pip install {names} {pins}`"
    return f"Install it beside what you have: `pip install {' '.join(DISTRIBUTIONS[p][-1] for p in packages)}`"
