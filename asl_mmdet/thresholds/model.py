"""A model whose predictions are calibrated and cut at the thresholds of its classes."""

from typing import Any

import numpy as np
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from asl_mmdet.errors import UserError
from asl_mmdet.thresholds.file import ThresholdFile
from asl_mmdet.thresholds.matching import APPLIED


@MODELS.register_module(name="WithThresholds")
def with_thresholds(model_type: str | type, thresholds: str, **model: Any) -> nn.Module:
    """Build a detector or a multi-label classifier that predicts by a ``thresholds.json``.

    In a config: ``model = dict(type='WithThresholds', model_type='ATSS', thresholds='thresholds.json', ...)``, where
    the rest is what the model itself takes. What comes back is the model itself, with the same weights and methods; a
    forward hook changes its predictions. A detector's scores are calibrated and sorted again, and detections below the
    threshold of their class are left out. A classifier's ``pred_score`` is calibrated, and ``pred_label`` are the
    classes at or above their threshold. Training and losses are as before.

    A detector's ``test_cfg.score_thr`` above that of the thresholds file is lowered to it, as detections that are cut
    before could not be kept here.

    Args:
        model_type: The type of the model, which ``type`` would say: a name, or a class.
        thresholds: The file that ``tools/tune_thresholds.py`` writes.
        **model: What the model takes.

    Raises:
        UserError: If the file cannot be read or has wrong values; with the first prediction, if its classes are not
            the model's.
    """
    content = ThresholdFile.read(thresholds)
    if content.score_thr is not None and model.get("test_cfg"):
        model["test_cfg"] = lower_score_thr(model["test_cfg"], content.score_thr)
    if DefaultScope.get_current_instance() is None and isinstance(model_type, str) and "." not in model_type:
        model_type = f"mmdet.{model_type}"
    built = MODELS.build(dict(type=model_type, **model))
    built.register_forward_hook(_Hook(content, thresholds), with_kwargs=True)
    return built


def wrap_model(model: dict[str, Any], thresholds: str) -> None:
    """Change the config of a model into that of the same with thresholds, in place."""
    model["model_type"] = model["type"]
    model["type"], model["thresholds"] = "WithThresholds", str(thresholds)


def lower_score_thr(test_cfg: Any, value: float) -> Any:
    """A copy of a ``test_cfg`` in which every ``score_thr`` is at most ``value``."""
    if isinstance(test_cfg, (list, tuple)):
        return [lower_score_thr(one, value) for one in test_cfg]
    if not isinstance(test_cfg, dict):
        return test_cfg
    lowered = {key: lower_score_thr(one, value) for key, one in test_cfg.items()}
    if lowered.get("score_thr") is not None:
        lowered["score_thr"] = min(lowered["score_thr"], value)
    return type(test_cfg)(lowered)


class _Hook:
    """Called by PyTorch after every forward pass; a class, since models are copied and pickled."""

    def __init__(self, content: ThresholdFile, path: str) -> None:
        self.content, self.path = content, path

    def __call__(self, model: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
        mode = kwargs.get("mode", args[2] if len(args) > 2 else "tensor")
        if mode != "predict":
            return None
        meta = getattr(model, "dataset_meta", None) or getattr(model, "_dataset_meta", None) or {}
        if "classes" in meta:
            try:
                self.content.check_classes(meta["classes"], "the model")
            except UserError as error:
                raise UserError(f"{self.path}: {error}") from None
        for sample in output:
            if "pred_instances" in sample:
                self._cut_detections(sample)
            else:
                self._label(sample)
            sample.set_metainfo({APPLIED: True})
        return output

    def _cut_detections(self, sample: Any) -> None:
        found = sample.pred_instances
        labels, number = found.labels.cpu().numpy(), len(self.content.classes)
        if len(labels) and labels.max() >= number:
            raise UserError(f"{self.path} has {number} classes, and the model found the label {labels.max()}")
        score = self.content.calibrate(found.scores.detach().cpu().numpy(), labels)
        order = np.argsort(-score, kind="stable")
        kept = order[score[order] >= self.content.thresholds[labels[order]]]
        found.scores = torch.as_tensor(score, dtype=found.scores.dtype, device=found.scores.device)
        sample.pred_instances = found[torch.as_tensor(kept, dtype=torch.long, device=found.labels.device)]

    def _label(self, sample: Any) -> None:
        score, number = sample.pred_score, len(self.content.classes)
        if score.shape != (number,):
            raise UserError(f"{self.path} has {number} classes, and the model gives scores of {tuple(score.shape)}")
        value = self.content.calibrate(score.detach().cpu().numpy(), np.arange(number))
        kept = np.flatnonzero(value >= self.content.thresholds)
        sample.set_pred_score(torch.as_tensor(value, dtype=score.dtype, device=score.device))
        sample.set_pred_label(torch.as_tensor(kept, dtype=torch.long, device=score.device))
