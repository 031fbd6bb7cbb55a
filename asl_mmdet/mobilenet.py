"""MMDetection's MobileNetV2, faster on a CPU."""

import copy
import itertools
import warnings
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from mmcv.cnn import ConvModule
from mmdet.models.backbones import MobileNetV2
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from asl_mmdet.losses._device import is_compiling

if hasattr(torch, "get_autocast_dtype"):  # since PyTorch 2.4

    def _in_mixed_precision() -> bool:
        return torch.is_autocast_enabled("cpu")
else:
    _in_mixed_precision = torch.is_autocast_cpu_enabled


@MODELS.register_module()
class FastMobileNetV2(MobileNetV2):
    """MMDetection's ``MobileNetV2`` with less work on a CPU, in training and in prediction.

    Arguments, weights, outputs and gradients are those of ``MobileNetV2`` but for the rounding of float32, and a
    checkpoint of the one is a checkpoint of the other. On a CPU,

    - the frozen layers, which have no gradient and whose BatchNorm is in evaluation mode, run as one TorchScript graph:
      BatchNorm is part of the convolutions, and maps keep oneDNN's own layout from layer to layer. The graph is made
      again when weights have changed, as by a checkpoint;
    - other convolutions in front of a BatchNorm in evaluation mode, as with ``norm_eval=True`` also in training, have
      their weights scaled instead of their maps (https://arxiv.org/abs/2305.11624, mmcv's ``efficient_conv_bn_eval``);
    - the outputs are in channels-last memory, and so is what the neck and the head compute from them;
    - layers after the last of ``out_indices`` do not run, unless their BatchNorm counts statistics. Their weights
      have no gradient in ``MobileNetV2`` either; here they are frozen, so that a training on several processes need not
      look for unused parameters.

    Where PyTorch cannot make the graph, a warning says so, and the frozen layers run one by one. All is as in
    ``MobileNetV2`` on an accelerator, in mixed precision, with ``with_cp=True``, where the images have a gradient, and
    while a model is exported or compiled.
    """

    _scales_weights = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._freeze_stages()  # not with the first call of train(): DistributedDataParallel is made before it

    def _freeze_stages(self) -> None:
        super()._freeze_stages()
        for name in self.layers[max(self.out_indices) + 1 :]:
            getattr(self, name).requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps of ``out_indices`` for images (N, 3, H, W)."""
        fast = _is_ordinary(x) and not self.with_cp
        if fast != self._scales_weights:
            self._scales_weights = fast
            for module in self.modules():
                if isinstance(module, ConvModule):
                    module.turn_on_efficient_conv_bn_eval(fast)
        return self._fast_forward(x) if fast else super().forward(x)

    def _fast_forward(self, x: Tensor) -> tuple[Tensor, ...]:
        layers = [self.conv1, *(getattr(self, name) for name in self.layers)]
        wanted = {i + 1 for i in self.out_indices}
        while layers and len(layers) - 1 not in wanted and not _has_side_effects(layers[-1]):
            del layers[-1]
        frozen = list(itertools.takewhile(_is_frozen, layers))
        maps = {}
        if frozen:
            last = len(frozen) - 1
            kept = sorted({last, *wanted.intersection(range(last))})
            maps = dict(zip(kept, _run_frozen(self, frozen, kept, x), strict=True))
            x = maps[last]
        x = x.contiguous(memory_format=torch.channels_last)
        for i in range(len(frozen), len(layers)):
            x = maps[i] = layers[i](x)
        return tuple(maps[i].contiguous(memory_format=torch.channels_last) for i in sorted(wanted))


def _is_ordinary(x: Tensor) -> bool:
    """Whether float32 is computed on a CPU, and nobody but autograd looks on."""
    return (
        type(x) is Tensor
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not (x.requires_grad and torch.is_grad_enabled())
        and not _in_mixed_precision()
        and not torch.jit.is_tracing()
        and not is_compiling()
    )


def _has_side_effects(layer: nn.Module) -> bool:
    """Whether a layer does more than to give a map: BatchNorm in training counts, and hooks are called."""
    return any(
        (isinstance(module, _BatchNorm) and module.training) or module._forward_hooks or module._forward_pre_hooks
        for module in layer.modules()
    )


def _is_frozen(layer: nn.Module) -> bool:
    """Whether a layer is the same function in every step, as long as nobody writes to its weights."""
    return not any(parameter.requires_grad for parameter in layer.parameters()) and not _has_side_effects(layer)


# What runs in place of frozen layers, with what it was made from: the places that are kept, and the weights. Not in the
# module: a copy of it has other weights, and what pickles, traces or compares it need not know.
_Run = Callable[[Tensor], tuple[Tensor, ...]]
_graphs: WeakKeyDictionary[nn.Module, tuple[list[int], list[Tensor], _Run]] = WeakKeyDictionary()


@torch.no_grad()
def _run_frozen(backbone: nn.Module, layers: list[nn.Module], kept: list[int], x: Tensor) -> tuple[Tensor, ...]:
    """The maps after those layers that are at the places ``kept``."""
    weights = [tensor for layer in layers for tensor in itertools.chain(layer.parameters(), layer.buffers())]
    places, made_from, run = _graphs.get(backbone, ([], [], None))
    is_same = places == kept and len(made_from) == len(weights) and all(map(torch.equal, weights, made_from))
    if run is None or not is_same:
        run = _optimized(_Chain(layers, kept), x)
        _graphs[backbone] = kept, [weight.clone() for weight in weights], run
    return run(x)


class _Chain(nn.Module):
    """Layers one after the other, with the maps after those at the places ``kept``."""

    def __init__(self, layers: list[nn.Module], kept: list[int]) -> None:
        super().__init__()
        self._layers = nn.ModuleList(layers)
        self._kept = kept

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps, in the order of the layers."""
        maps = []
        for layer in self._layers:
            x = layer(x)
            maps.append(x)
        return tuple(maps[i] for i in self._kept)


def _optimized(chain: _Chain, x: Tensor) -> _Run:
    """A graph for inference with a copy of the weights, or the layers themselves where PyTorch makes none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer PyTorch: torch.jit is deprecated
            graph = torch.jit.trace(copy.deepcopy(chain).eval(), x, check_trace=False)
            return torch.jit.optimize_for_inference(torch.jit.freeze(graph))
    except Exception as error:  # whatever an optimizer raises
        warnings.warn(f"the frozen layers of the backbone run one by one: torch.jit failed ({error!r})", stacklevel=2)
        return chain
