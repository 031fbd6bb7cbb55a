"""Whether the weights that a training starts from are some of its model."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import nn

from asl_mmdet.checks.finding import Finding, Rule, check
from asl_mmdet.compat.checkpoints import number_fitting, weights_for
from asl_mmdet.errors import UserError


class Weights(NamedTuple):
    """The weights that a training starts from, and its model."""

    path: str
    model: nn.Module

    def of_another_model(self) -> Iterator[str]:
        """The file, if it has nothing for the model; of two heads with other classes the rest fits."""
        from mmdet.models import SemiBaseDetector  # there by now, and slow to import before

        try:
            weights = weights_for(self.model, self.path)
        except UserError as error:
            yield str(error)
            return
        takes_detectors = isinstance(self.model, SemiBaseDetector)  # and gives them to its student and its teacher
        parts: list[Any] = [self.model, *([self.model.student] if takes_detectors else [])]
        if not any(number_fitting(part, weights) for part in parts):
            there, here = next(iter(weights), "nothing"), next(iter(self.model.state_dict()), "nothing")
            yield f"{self.path} has {there}, ..., the model {here}, ..."


WEIGHTS_RULES: list[Rule[Weights]] = [
    Rule(
        "P207",
        "error",
        "load_from of which no tensor fits the model",
        "Training would start as without it.",
        "Name a checkpoint of this model, or take it out. Weights of only a backbone go into model.backbone.init_cfg.",
        lambda weights: weights.of_another_model(),
    ),
]


def check_weights(path: str, model: nn.Module) -> list[Finding]:
    """Whether a model takes anything of the weights in a local file; MMEngine only warns."""
    return check(WEIGHTS_RULES, Weights(path, model)) if "://" not in path else []
