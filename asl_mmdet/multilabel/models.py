"""The ML-Decoder head, the OFA-595 backbone, and a loss for labels of which some are unknown."""

import math
from typing import Any

import torch
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.registry import MODELS
from mmpretrain.utils import require
from torch import Tensor, nn

from asl_mmdet.compat.checkpoints import load_checkpoint
from asl_mmdet.errors import UserError
from asl_mmdet.losses import AsymmetricLoss


@MODELS.register_module()
class MLDecoderClsHead(MultiLabelClsHead):
    """ML-Decoder (https://arxiv.org/abs/2111.12933) with group decoding, for feature maps instead of pooled features.

    A fixed random query stands for a group of classes. One decoder layer, without self-attention, lets the queries look
    at every place of the feature map; a linear layer of its own turns each answer into the logits of its group
    (Section 3.3). The cost depends on ``num_groups``, and on the number of classes only in that last layer, so it takes
    Open Images' 9,605 classes. It is used without a neck.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the last feature map.
        num_groups: Number of queries; at most one a class is made. 100 in the paper (200 for Open Images).
        embed_dims: Width of the decoder; 768 in the paper.
        num_heads: Attention heads; 8 in the paper.
        feedforward_channels: Width of the decoder's feed-forward layer; 2048 in the paper.
        dropout: Dropout rate in the decoder; 0.1 in the paper.
        **kwargs: As mmpretrain's ``MultiLabelClsHead``: loss, thr, topk, init_cfg.

    Raises:
        UserError: If a number is below 1, or ``embed_dims`` is no multiple of ``num_heads``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_groups: int = 100,
        embed_dims: int = 768,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        sizes = dict(num_classes=num_classes, in_channels=in_channels, num_groups=num_groups, embed_dims=embed_dims)
        for name, value in sizes.items():
            if value < 1:
                raise UserError(f"MLDecoderClsHead got {name}={value}: it must be at least 1")
        if embed_dims % num_heads:
            raise UserError(f"MLDecoderClsHead got embed_dims={embed_dims}: not a multiple of num_heads={num_heads}")
        self.num_classes = num_classes
        self.in_channels = in_channels
        num_groups = min(num_groups, num_classes)
        group_size = math.ceil(num_classes / num_groups)
        self.embed = nn.Linear(in_channels, embed_dims)
        self.register_buffer("queries", torch.randn(num_groups, embed_dims))
        self.attention = nn.MultiheadAttention(embed_dims, num_heads, dropout, batch_first=True)
        self.feedforward = nn.Sequential(
            nn.Linear(embed_dims, feedforward_channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(feedforward_channels, embed_dims),
        )
        self.norms = nn.ModuleList(nn.LayerNorm(embed_dims) for _ in range(3))
        self.dropout = nn.Dropout(dropout)
        self.group_weight = nn.Parameter(torch.empty(num_groups, embed_dims, group_size))
        self.group_bias = nn.Parameter(torch.zeros(num_classes))
        bound = math.sqrt(6 / (embed_dims + group_size))  # Xavier's, for one group
        nn.init.uniform_(self.group_weight, -bound, bound)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, num_classes) of feature maps, the last of them (N, in_channels, H, W)."""
        feature_map = self.pre_logits(feats)
        if feature_map.dim() != 4:
            raise UserError(
                f"MLDecoderClsHead got features of shape {tuple(feature_map.shape)}, not (N, C, H, W): leave the neck "
                "out (neck=None)"
            )
        places = self.embed(feature_map.flatten(2).transpose(1, 2)).relu()  # (N, H*W, D)
        queries = self.queries.expand(len(places), -1, -1)  # (N, K, D)
        queries = self.norms[0](queries + self.dropout(queries))
        attended = self.attention(queries, places, places, need_weights=False)[0]
        answers = self.norms[1](queries + self.dropout(attended))
        answers = self.norms[2](answers + self.dropout(self.feedforward(answers)))
        logits = torch.einsum("nkd,kdg->nkg", answers, self.group_weight).flatten(1)
        return logits[:, : self.num_classes] + self.group_bias


@MODELS.register_module()
class OFA595(BaseBackbone):
    """The specialised Once-for-All network with 595M FLOPs (https://arxiv.org/abs/1908.09791), of the package ``ofa``.

    It pools by itself: no neck, and 1536 channels for the head. The package's own function for it downloads its
    configuration; here it is cut out of the package's supernet, without a download.

    Args:
        checkpoint: A file with the weights that the ``ofa`` package publishes for ``flops@595M_top1@80.0_finetune@75``
            (its ``state_dict``); without, they are random.
        init_cfg: As in every backbone.
    """

    @require("ofa")
    def __init__(self, checkpoint: str = "", init_cfg: dict[str, Any] | None = None) -> None:
        from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3

        super().__init__(init_cfg)
        kernels, expansions, depths = [3, 5, 7], [3, 4, 6], [2, 3, 4]
        supernet = OFAMobileNetV3(width_mult=1.2, ks_list=kernels, expand_ratio_list=expansions, depth_list=depths)
        supernet.set_active_subnet(  # four blocks a stage; the first stage uses three
            ks=[3, 5, 3, 3, 5, 5, 3, 5, 7, 5, 3, 5, 3, 5, 7, 3, 3, 3, 5, 3],
            e=[3, 4, 3, 3, 4, 4, 6, 3, 6, 6, 3, 4, 6, 6, 6, 4, 6, 6, 6, 3],
            d=[3, 4, 4, 4, 4],
        )
        self.net = supernet.get_active_subnet(preserve_weight=False)
        if checkpoint:
            loaded = load_checkpoint(checkpoint)
            self.net.load_state_dict(loaded.get("state_dict", loaded))
            self._is_init = True
        self.net.classifier = nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Pooled features (N, 1536) of images (N, 3, H, W)."""
        return (self.net(x),)


@MODELS.register_module()
class PartialLabelLoss(nn.Module):
    """Any loss on labels of which some are unknown (-1): these have weight 0.

    For data sets with ``unannotated='ignore'``.

    Args:
        loss: Config of the loss for known labels, such as ``dict(type='mmdet.AsymmetricLoss', ...)``, or the loss
            itself; it must take ``reduction_override='none'``.
    """

    def __init__(self, loss: dict[str, Any] | nn.Module) -> None:
        super().__init__()
        self.loss = loss if isinstance(loss, nn.Module) else MODELS.build(loss)

    def forward(self, pred: Tensor, target: Tensor, avg_factor: float | Tensor | None = None) -> Tensor:
        """The sum of the loss over the known labels divided by ``avg_factor``, or by their number without it.

        Args:
            pred: Logits (N, C).
            target: Labels (N, C) in [0, 1], or -1 where they are unknown.
            avg_factor: What the sum is divided by; the heads give the batch size.
        """
        known = target >= 0
        avg_factor = known.sum().clamp(min=1) if avg_factor is None else avg_factor
        if isinstance(self.loss, AsymmetricLoss):
            return self.loss(pred, target.clamp(min=0), weight=known, avg_factor=avg_factor)
        loss = self.loss(pred, target.clamp(min=0), reduction_override="none")  # mmpretrain's have no such weight
        return torch.where(known, loss, 0).sum() / avg_factor
