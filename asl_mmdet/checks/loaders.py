"""Whether a loader gives a batch at all, as MMEngine builds it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from asl_mmdet.checks.finding import FAILS, Finding, Rule, check


class Loader(NamedTuple):
    """A loader of a config, or why it cannot be built."""

    key: str
    loader: Any
    problem: str = ""

    def shortage(self) -> Iterable[str]:
        """Where it gives no batch; samplers without an end may have a length of 0."""
        if self.problem or len(self.loader) or next(iter(self.loader.batch_sampler), None) is not None:
            return ()
        number = len(self.loader.sampler)
        size = self.loader.batch_size or getattr(self.loader.batch_sampler, "batch_size", None)
        return (f"{self.key} has {number} images, batch_size={size}, and drops what is less",)


LOADER_RULES: list[Rule[Loader]] = [
    Rule(
        "P103",
        "error",
        "loader without a batch",
        "The run ends without an iteration, and saves what it began with.",
        "Use a smaller batch_size, or drop_last=False.",
        lambda loader: loader.shortage(),
    ),
    Rule(
        "P104",
        "error",
        "loader that cannot be built",
        FAILS,
        "",
        lambda loader: (f"{loader.key}: {loader.problem}",) if loader.problem else (),
    ),
]


def check_loader(key: str, loader: Any) -> list[Finding]:
    """Whether a loader that is built gives a batch."""
    return check(LOADER_RULES, Loader(key, loader))


def check_loaders(cfg: Config, splits: Iterable[str]) -> list[Finding]:
    """Build the loaders of the ``splits`` ('train', 'val', 'test') that the config has, and look whether they give one.

    It takes as long as the annotation files take to read.
    """
    register_all_modules(init_default_scope=False)
    found = []
    for key in (f"{split}_dataloader" for split in splits):
        if cfg.get(key):
            with DefaultScope.overwrite_default_scope(cfg.get("default_scope") or "mmdet"):
                found += check(LOADER_RULES, _build(key, cfg[key]))
    return found


def _build(key: str, options: Any) -> Loader:
    try:
        return Loader(key, Runner.build_dataloader(options))
    except Exception as error:  # data sets and transforms of any library: what they say is what training would say
        return Loader(key, None, f"{type(error).__name__}: {error}")
