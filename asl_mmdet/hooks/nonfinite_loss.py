"""No loss that is not finite reaches the weights."""

from collections.abc import Iterator
from typing import Any

from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stop the run before a loss that is not finite reaches the weights.

    The error names the iteration, the loss terms and the images, and ``nonfinite_iter_<n>.pth`` in the work directory
    holds the weights as they were before that iteration (but for the running means of batch norm, which the forward
    pass moves). All processes decide alike. Where the wrapper of the optimizer scales the loss (``AmpOptimWrapper``), a
    step that it skips because of an overflow is logged with the new scale, and the scale as ``loss_scale``.

    Looking at the loss waits for the accelerator once an iteration.

    Args:
        max_skips: Leave out the update for so many batches before the run stops. A batch that has left something in the
            model's buffers that is not finite cannot be left out, and stops the run.

    Raises:
        ValueError: If ``max_skips`` is negative.
        FloatingPointError: During training, once ``max_skips`` is used up.
    """

    priority = "VERY_HIGH"

    def __init__(self, max_skips: int = 0) -> None:
        if max_skips < 0:
            raise ValueError(f"NonFiniteLossHook got max_skips={max_skips}: use a whole number from 0")
        self.max_skips = max_skips
        self.skipped = 0

    def before_train(self, runner: Runner) -> None:
        """Install hooks between the loss and the optimizer."""
        self._terms: dict[str, Any] = {}
        self._batch: Any = None
        self._handle = runner.model.register_forward_hook(self._keep_terms)
        if isinstance(runner.optim_wrapper, OptimWrapper):
            self._update = runner.optim_wrapper.update_params
            runner.optim_wrapper.update_params = lambda *args, **kwargs: self._guard(runner, *args, **kwargs)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Remember the batch."""
        self._batch = data_batch

    def after_train(self, runner: Runner) -> None:
        """Remove the hooks."""
        self._handle.remove()
        if isinstance(runner.optim_wrapper, OptimWrapper):
            vars(runner.optim_wrapper).pop("update_params", None)  # the method of the class shows again

    def _keep_terms(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, dict):
            self._terms = output

    def _guard(self, runner: Runner, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        is_bad = (~loss.detach().isfinite()).any().float()
        all_reduce(is_bad, "max")
        if is_bad.item():
            self._refuse(runner)
            return
        scaler = getattr(runner.optim_wrapper, "loss_scaler", None)
        if scaler is None:
            self._update(loss, *args, **kwargs)
            return
        before = scaler.get_scale()
        self._update(loss, *args, **kwargs)
        after = scaler.get_scale()
        runner.message_hub.update_scalar("train/loss_scale", after)
        if after < before:
            runner.logger.warning(
                f"iteration {runner.iter + 1}: gradients overflowed in half precision; the step is skipped, and the "
                f"loss scale goes from {before:g} to {after:g}"
            )

    def _refuse(self, runner: Runner) -> None:
        lines = [f"the loss of iteration {runner.iter + 1} (epoch {runner.epoch + 1}) is not finite"]
        lines += [f"    {name} = {value}" for name, value in _values(self._terms)]
        samples = self._batch.get("data_samples", []) if isinstance(self._batch, dict) else []
        lines += [f"    image {path}" for path in (getattr(sample, "img_path", None) for sample in samples) if path]
        buffers = [name for name, buffer in runner.model.named_buffers() if not buffer.isfinite().all()]
        if self.skipped < self.max_skips and not buffers:
            self.skipped += 1
            lines.append(f"the batch is left out, as {self.skipped} of at most {self.max_skips} (max_skips)")
            runner.logger.warning("\n".join(lines))
            return
        name = f"nonfinite_iter_{runner.iter + 1}.pth"
        runner.save_checkpoint(runner.work_dir, name, save_param_scheduler=False)
        if buffers and self.max_skips:
            lines.append(f"it cannot be left out, since it is in the model's buffers already: {', '.join(buffers[:3])}")
        lines.append(
            f"the weights before it are in {runner.work_dir}/{name}. Often the learning rate is too high or its "
            "warm-up too short, an image or box is broken (tools/check_dataset.py looks for those), or float16 "
            "overflows; custom_hooks=[dict(type='NonFiniteLossHook', max_skips=10)] leaves out single batches"
        )
        raise FloatingPointError("\n".join(lines))


def _values(terms: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The loss terms as text; one of several levels as the mean that MMEngine logs."""
    for name, value in terms.items():
        tensors = [value] if isinstance(value, Tensor) else value
        if isinstance(tensors, (list, tuple)) and all(isinstance(v, Tensor) for v in tensors):
            yield name, f"{sum(float(v.detach().mean()) for v in tensors):.6g}"
