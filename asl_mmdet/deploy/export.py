"""ONNX export of dense one-stage detectors: backbone, neck and head; boxes are decoded outside."""

import inspect
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.models.detectors import SingleStageDetector
from torch import Tensor, nn

from asl_mmdet.deploy.detector import Detector
from asl_mmdet.errors import UserError, first_line

METADATA = "asl_mmdet"  # the key of what the file says about itself
OPSET = 17  # the highest that PyTorch's TorchScript exporter knows from 2.1 on


class DenseNetwork(nn.Module):
    """Backbone, neck and head of a detector: preprocessed images to the head's maps.

    Args:
        detector: With ``bbox_head.predict_by_feat``, whose first arguments are the names of the maps.

    Raises:
        UserError: If the detector is none of that kind, two-stage or of the DETR family for example.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        head: Any = getattr(detector, "bbox_head", None)
        if not isinstance(detector, SingleStageDetector) or not hasattr(head, "predict_by_feat"):
            raise UserError(
                f"model.type={type(detector).__name__!r}: only dense one-stage detectors are exported (ATSS, FCOS, "
                "RetinaNet, ...); MMDeploy takes others"
            )
        self.detector = detector
        parameters = list(inspect.signature(head.predict_by_feat).parameters)
        with torch.no_grad():
            maps = self._maps(torch.zeros(1, 3, 128, 128, device=next(detector.parameters()).device))
        if not isinstance(maps, tuple) or not all(isinstance(m, (list, tuple)) and _are_maps(m) for m in maps):
            raise UserError(
                f"model.bbox_head.type={type(head).__name__!r}: its outputs are no lists of (N, C, H, W) maps, one a "
                "level, so it cannot be exported"
            )
        self.names = [f"{kind}_{i}" for kind, levels in zip(parameters, maps, strict=False) for i in range(len(levels))]

    def _maps(self, images: Tensor) -> Any:
        return self.detector.bbox_head(self.detector.extract_feat(images))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W), normalized and padded, to the maps of :attr:`names`, each (N, channels, h, w)."""
        return tuple(level for levels in self._maps(images) for level in levels)


def _are_maps(levels: Sequence[Any]) -> bool:
    return all(isinstance(level, Tensor) and level.dim() == 4 for level in levels)


def export_onnx(
    detector: Detector,
    path: str | Path,
    *,
    size: Sequence[int] | None = None,
    opset: int = OPSET,
    dynamo: bool = False,
) -> DenseNetwork:
    """Write a detector's network to a file.

    The input ``images`` is (N, 3, H, W), normalized, in the order of channels that the model was trained with, and
    padded to a multiple of ``pad_size_divisor``; the file's metadata say all of that, and the classes. N is dynamic.

    Args:
        detector: On the CPU, in evaluation mode, as :func:`asl_mmdet.deploy.detector.load_detector` gives it.
        path: The file.
        size: Height and width if they are to be fixed; by default they are dynamic.
        opset: ONNX's version of operators.
        dynamo: Export by ``torch.export``, which needs onnxscript and PyTorch 2.6, instead of TorchScript.

    Returns:
        What was exported, to compare with.

    Raises:
        UserError: As :class:`DenseNetwork`, or if PyTorch cannot export the model.
    """
    network = DenseNetwork(detector).eval()
    images = torch.randn(2, 3, *(size or (128, 160)))
    axes = {0: "batch"} if size else {0: "batch", 2: "height", 3: "width"}
    options: dict[str, Any] = dict(input_names=["images"], output_names=network.names, opset_version=opset)
    if dynamo:
        dims = {axis: torch.export.Dim(name) for axis, name in axes.items()}
        options |= dict(dynamo=True, dynamic_shapes=dict(images=dims), external_data=False, verbose=False)
    else:
        maps = {0: "batch"} if size else {0: "batch", 2: "map_height", 3: "map_width"}
        options["dynamic_axes"] = dict(images=axes, **dict.fromkeys(network.names, maps))
        if "dynamo" in inspect.signature(torch.onnx.export).parameters:
            options["dynamo"] = False
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # Tracing warns of every Python number: compare() looks whether one was frozen wrongly.
            warnings.simplefilter("ignore")
            torch.onnx.export(network, (images,), str(path), **options)
    except Exception as error:  # the exporters raise many types
        raise UserError(
            f"model.bbox_head.type={type(detector.bbox_head).__name__!r}: PyTorch cannot export this model, for it may "
            f"have an operator that ONNX lacks, such as a deformable convolution ({first_line(error)})"
        ) from error
    _describe(path, detector, network.names)
    return network


def _describe(path: str | Path, detector: Detector, names: list[str]) -> None:
    """Put what a user of the file must know into it."""
    import onnx

    preprocessor = detector.cfg.model.get("data_preprocessor") or {}
    keys = ("mean", "std", "bgr_to_rgb", "pad_size_divisor", "pad_value")
    preprocess = {key: preprocessor[key] for key in keys if key in preprocessor}
    about = dict(classes=list(detector.dataset_meta["classes"]), outputs=names, preprocess=preprocess)
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {METADATA: json.dumps(about)})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


@dataclass(frozen=True)
class Difference:
    """How far ONNX Runtime is from PyTorch on a batch of random images.

    Args:
        shape: Of the batch.
        largest: The largest absolute difference of all elements of all maps.
        magnitude: The largest absolute value of PyTorch's.
    """

    shape: tuple[int, ...]
    largest: float
    magnitude: float

    def __str__(self) -> str:
        """The line that the command prints."""
        shape = " x ".join(map(str, self.shape))
        return f"{shape}: largest difference to PyTorch {self.largest:.2g}, of values up to {self.magnitude:.3g}"


def compare(network: DenseNetwork, path: str | Path, size: Sequence[int] | None = None) -> list[Difference]:
    """Run both on batches of one and three images, and on two sizes where they are dynamic.

    Raises:
        UserError: If a map has another shape.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    differences = []
    for shape in [(1, 3, *(size or (128, 160))), (3, 3, *(size or (224, 96)))]:
        images = torch.randn(shape, generator=generator)
        with torch.no_grad():
            expected = [one.numpy() for one in network(images)]
        found = session.run(network.names, {"images": images.numpy()})
        for name, ours, theirs in zip(network.names, found, expected, strict=True):
            if ours.shape != theirs.shape:
                raise UserError(f"{name} of {shape} is {ours.shape} in ONNX Runtime and {theirs.shape} in PyTorch")
        largest = max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
        differences.append(Difference(shape, largest, max(float(np.abs(one).max()) for one in expected)))
    return differences
