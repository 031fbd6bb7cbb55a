"""The head that tells a loss which samples it gets."""

from typing import Any

from mmpretrain.models.heads import MultiLabelLinearClsHead
from mmpretrain.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class SampleAwareClsHead(MultiLabelLinearClsHead):
    """mmpretrain's ``MultiLabelLinearClsHead``; a loss that wants the samples' numbers in the data set gets them."""

    def loss(self, feats: tuple[Tensor, ...], data_samples: list[Any], **kwargs: Any) -> dict[str, Tensor]:
        """The loss of the head."""
        if getattr(self.loss_module, "wants_samples", False):
            kwargs["samples"] = [sample.sample_idx for sample in data_samples]
        return super().loss(feats, data_samples, **kwargs)
