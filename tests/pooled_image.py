"""A quick backbone, for tests of what comes behind one."""

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn
from torch.nn import functional as F


@MODELS.register_module()
class PooledImage(BaseModule):
    """In place of a backbone: maps of the same channels and sizes, each one convolution of the pooled image."""

    def __init__(self, maps):
        super().__init__()
        self.strides = [stride for _, stride in maps]
        self.convolutions = nn.ModuleList(nn.Conv2d(3, channels, 1) for channels, _ in maps)

    def forward(self, image):
        return tuple(
            conv(F.avg_pool2d(image, stride)) for conv, stride in zip(self.convolutions, self.strides, strict=True)
        )


def pooled(maps, size):
    """The block of a config that replaces a backbone; ``maps`` is what that makes of an image of ``size``."""
    return dict(type="PooledImage", maps=[(map.shape[1], size // map.shape[2]) for map in maps])
