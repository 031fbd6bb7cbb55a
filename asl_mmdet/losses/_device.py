"""What the execution and the checks ask PyTorch about a tensor's device and about a running compilation."""

import torch
from torch import Tensor

# torch.compiler has it from PyTorch 2.3 on; torch.compile knows both by name.
is_compiling = torch.compiler.is_compiling if hasattr(torch.compiler, "is_compiling") else torch._utils.is_compiling


def is_cpu(x: Tensor) -> bool:
    """Where looking at values costs nothing; elsewhere it would make the accelerator wait."""
    return x.device.type == "cpu"
