"""A detector whose network is an ONNX file: MMDetection prepares the images and decodes the boxes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor, nn

from asl_mmdet.deploy.detector import Detector, build_detector
from asl_mmdet.deploy.export import METADATA
from asl_mmdet.errors import UserError


def load_onnx(
    cfg: Config, path: str | Path, *, thresholds: str | None = None, providers: Sequence[str] = ()
) -> Detector:
    """The detector of a config with the network of ``tools/export_onnx.py`` in place of backbone, neck and head.

    MMDetection's ``predict_by_feat`` decodes the maps and suppresses double boxes, so the predictions are those of the
    PyTorch model, and ``mmdet.apis.inference_detector`` takes it. It cannot be trained.

    Args:
        cfg: The config that the file was exported with; it is not changed.
        path: The file.
        thresholds: A ``thresholds.json`` by which the predictions are calibrated and cut.
        providers: By which ONNX Runtime runs; by default CUDA where it is built for it, and the CPU.

    Raises:
        UserError: If the file cannot be read or is none of that command; or as
            :func:`asl_mmdet.deploy.detector.build_detector`.
    """
    network = OnnxNetwork(path, providers)
    detector = build_detector(cfg, network.about["classes"], thresholds)
    detector.backbone = nn.Identity()
    detector.neck = nn.Identity()
    # The head's predict() calls the head and then predict_by_feat: what it calls is the file.
    detector.extract_feat = lambda images: images
    detector.bbox_head.forward = network
    return detector


class OnnxNetwork:
    """What a dense head computes from images, by ONNX Runtime.

    Args:
        path: A file of ``tools/export_onnx.py``.
        providers: As for :func:`load_onnx`.

    Raises:
        UserError: If the file cannot be read, or is none of that command.
    """

    def __init__(self, path: str | Path, providers: Sequence[str] = ()) -> None:
        import onnxruntime

        if not providers:
            there = onnxruntime.get_available_providers()
            providers = [one for one in ("CUDAExecutionProvider", "CPUExecutionProvider") if one in there]
        try:
            self.session = onnxruntime.InferenceSession(str(path), providers=list(providers))
        except Exception as error:  # ONNX Runtime has exceptions of its own, which it does not export
            raise UserError(f"{path} is no ONNX file that ONNX Runtime can read: {error}") from error
        about = self.session.get_modelmeta().custom_metadata_map.get(METADATA)
        if about is None:
            raise UserError(f"{path} was not written by tools/export_onnx.py: it does not name its classes")
        self.about: dict[str, Any] = json.loads(about)
        self.size: list[Any] = self.session.get_inputs()[0].shape[2:]

    def __call__(self, images: Tensor) -> tuple[list[Tensor], ...]:
        """Preprocessed images (N, 3, H, W) to a list of maps a kind, one (N, channels, h, w) a level.

        Where the file has a fixed size, smaller images are padded to it at the bottom and at the right.

        Raises:
            UserError: If they are larger than that.
        """
        if all(isinstance(value, int) for value in self.size):
            missing = [fixed - given for fixed, given in zip(self.size, images.shape[2:], strict=True)]
            if min(missing) < 0:
                raise UserError(
                    f"the file takes images of up to {self.size[0]} x {self.size[1]}, and these have "
                    f"{images.shape[2]} x {images.shape[3]}: export without --size, or with a larger one"
                )
            images = F.pad(images, (0, missing[1], 0, missing[0]))
        found = self.session.run(self.about["outputs"], {"images": images.cpu().numpy()})
        kinds: dict[str, list[Tensor]] = {}
        for name, value in zip(self.about["outputs"], found, strict=True):
            kinds.setdefault(name.rsplit("_", 1)[0], []).append(torch.from_numpy(value).to(images.device))
        return tuple(kinds.values())
