"""What a resumed run takes from its checkpoint in spite of the config."""

from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner

# What moves along training. The learning rates that a schedule began with are the optimizer's initial ones.
_MOVING = ("_get_lr_called_within_step", "_global_step", "_last_value", "base_values", "last_step", "verbose")


@HOOKS.register_module()
class ResumedSettingsHook(Hook):
    """Warn where a resumed run goes on with other settings than the config has.

    MMEngine restores the optimizer and the schedule as they were saved: another learning rate, weight decay or
    ``param_scheduler`` in the config has no effect. Where an epoch has another number of iterations, as with another
    ``batch_size`` or number of processes, a schedule by iterations goes on as if it had not.

    ``tools/train.py`` adds it to a run that is resumed.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare, before the optimizer and the schedule are restored."""
        if not getattr(runner, "_resume", True):  # only its weights are loaded
            return
        lines = [*_optimizers(runner, checkpoint), *_schedules(runner, checkpoint), *_epoch(runner, checkpoint)]
        if lines:
            text = "\n".join(f"    {line}" for line in lines)
            runner.logger.warning(
                "the run goes on with the optimizer and the schedule that were saved, not with those of the config "
                f"where they differ:\n{text}\nTo train with the new values, start a run from only the weights: "
                "--cfg-options load_from=CHECKPOINT instead of --resume"
            )


def _optimizers(runner: Runner, checkpoint: dict[str, Any]) -> Iterator[str]:
    for name, saved, now in _pairs(checkpoint.get("optimizer"), runner.optim_wrapper.state_dict()):
        groups = zip(saved.get("param_groups", ()), now.get("param_groups", ()), strict=False)
        yield from dict.fromkeys(line for one, other in groups for line in _different(name, *_settings(one, other)))


def _settings(saved: dict[str, Any], now: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both groups have that no schedule moves: of a learning rate that it moves, the initial one."""
    moved = {key.removeprefix("initial_") for group in (saved, now) for key in group if key.startswith("initial_")}
    left = [key for key in now if key in saved and key not in moved and key != "params"]
    return {key: saved[key] for key in left}, {key: now[key] for key in left}


def _schedules(runner: Runner, checkpoint: dict[str, Any]) -> Iterator[str]:
    schedulers: Any = runner.param_schedulers or []
    named = schedulers if isinstance(schedulers, dict) else {"": schedulers}
    saved: Any = checkpoint.get("param_schedulers") or []
    saved = saved if isinstance(saved, dict) else {"": saved}
    for name, listed in named.items():
        before = saved.get(name) or []
        if len(before) != len(listed):
            yield f"param_scheduler: {len(before)} saved, {len(listed)} in the config"
        for i, (one, scheduler) in enumerate(zip(before, listed, strict=False)):
            now = scheduler.state_dict()
            keys = [key for key in now if key in one and key not in _MOVING]
            yield from _different(f"param_scheduler.{i}", {k: one[k] for k in keys}, {k: now[k] for k in keys})


def _epoch(runner: Runner, checkpoint: dict[str, Any]) -> Iterator[str]:
    epochs, iterations = (checkpoint.get("meta", {}).get(key) for key in ("epoch", "iter"))
    if not isinstance(runner.train_loop, EpochBasedTrainLoop) or not epochs or iterations is None:
        return
    length = len(runner.train_dataloader)
    if iterations != epochs * length:
        yield (
            f"iterations of an epoch: {iterations / epochs:g} saved, {length} now (another batch_size, number of "
            "processes or data set)"
        )


def _pairs(saved: Any, now: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The states of one optimizer, or of several by their names."""
    if not isinstance(saved, dict):
        return
    if "param_groups" in now:
        yield "optim_wrapper.optimizer", saved, now
        return
    for name, state in now.items():
        if isinstance(state, dict) and isinstance(saved.get(name), dict):
            yield f"optim_wrapper.{name}.optimizer", saved[name], state


def _different(name: str, saved: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for key, value in now.items():
        if _is_plain(value) and _is_plain(saved[key]) and _as_list(value) != _as_list(saved[key]):
            yield f"{name}.{key.removeprefix('initial_')}: {saved[key]} saved, {value} in the config"


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, (bool, float, int, str))


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
