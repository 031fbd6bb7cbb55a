"""The search: Optuna's tree-structured Parzen estimator over the families, kept in a file so that it can go on."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asl_mmdet.config.task import Task
from asl_mmdet.errors import UserError
from asl_mmdet.tuning.space import OWN, Params, block_of, first_of, grid_of, name_of

Objective = Callable[[str, dict[str, Any] | None], float]
Grids = dict[str, dict[str, list[Any]]]
DATABASE = "study.db"


@dataclass(frozen=True)
class TrialResult:
    """A loss that was tried.

    Args:
        name: Its name; 'own' is the loss of the config.
        params: Its family and parameters; empty for 'own'.
        value: What the objective gave, the larger the better; NaN where it failed.
        minutes: How long it took.
    """

    name: str
    value: float
    minutes: float
    params: Params = field(default_factory=dict)


def search(
    objective: Objective,
    task: Task,
    families: list[str],
    out: Path,
    trials: int,
    minutes: float,
    seed: int = 0,
    own: dict[str, Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> list[TrialResult]:
    """Try losses until a budget is used up, and give all that were tried, also in earlier calls; the best first.

    The loss of the config is tried first, then known good points, then what Optuna's TPE sampler proposes. After every
    trial the state is in ``out / 'study.db'``; a call with the same ``out`` continues, with what was on its way first.
    A new trial starts only if it should finish within ``minutes``, judging by the slowest one of this call so far.

    Args:
        objective: Gives the value of a loss, from its name and its block; the block is None for the config's own. A
            ``RuntimeError`` is a failed trial. What it is asked twice it is asked once.
        task: What the losses are for.
        families: Some of ``FAMILIES``, the same in every call with the same ``out``.
        out: Folder of the state.
        trials: How many losses to try, earlier calls included.
        minutes: The budget of this call.
        seed: Of the sampler.
        own: The block of the config's own loss, which is not tried again by another name.
        clock: Seconds.

    Raises:
        UserError: If an argument is out of range, or there is no such family.
    """
    grids = _checked(task, families, trials, minutes)
    study = _open(out, seed)
    _take_up_again(study)
    known: list[Params] = [{}, *first_of(task, families)]
    same = next((name_of(point) for point in _points(grids) if block_of(point, task) == own), "")
    start, longest = clock(), 0.0
    while len(found := list(_finished(study))) < trials:
        if clock() - start + longest > 60 * minutes:
            break
        trial, params = _next(study, grids, known, found, seed, same)
        if trial is None:  # the whole grid was tried
            break
        name, began = name_of(params), clock()
        value, error = float("nan"), ""
        try:
            value = objective(name, block_of(params, task) if params else None)
        except RuntimeError as failure:
            error = str(failure)
        longest = max(longest, clock() - began)
        for key, attribute in dict(name=name, minutes=(clock() - began) / 60, error=error).items():
            trial.set_user_attr(key, attribute)
        _tell(study, trial, value)
    return sorted(found, key=lambda one: (one.value == one.value, one.value), reverse=True)


def _checked(task: Task, families: list[str], trials: int, minutes: float) -> Grids:
    if trials < 1:
        raise UserError(f"trials={trials}: use a whole number from 1")
    if not minutes > 0:
        raise UserError(f"minutes={minutes:g}: use a number above 0")
    if not families:
        raise UserError("families is empty: name at least one")
    return {family: grid_of(task, family) for family in families}


def _open(out: Path, seed: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    out.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        storage=f"sqlite:///{out / DATABASE}",
        study_name="tune_loss",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=6),
        load_if_exists=True,
    )


def _next(
    study: Any, grids: Grids, known: list[Params], found: list[TrialResult], seed: int, same: str
) -> tuple[Any, Params]:
    """The next trial and its parameters; a point that was tried is replaced by one that was not, at random.

    ``same`` is the name of the point that is the config's own loss.
    """
    values = {one.name: one.value for one in found}
    if OWN in values:
        values[same] = values[OWN]
    first = [point for point in known if name_of(point) not in values]
    if first and not study.get_trials(deepcopy=False, states=[_state("WAITING")]):
        study.enqueue_trial(_optuna_params(first[0]))
    while True:
        trial = study.ask()
        params = _suggest(trial, grids)
        if name_of(params) not in values:
            return trial, params
        _tell(study, trial, values[name_of(params)])
        left = [point for point in _points(grids) if name_of(point) not in values]
        if not left:
            return None, {}
        study.enqueue_trial(_optuna_params(random.Random(seed + len(study.trials)).choice(left)))


def _points(grids: Grids) -> Iterator[Params]:
    for family, grid in grids.items():
        for values in itertools.product(*grid.values()):
            yield dict(family=family, **dict(zip(grid, values, strict=True)))


def _take_up_again(study: Any) -> None:
    """Put what was stopped on its way into the queue."""
    for trial in study.get_trials(states=[_state("RUNNING")]):
        study.tell(trial.number, state=_state("FAIL"))
        if "family" in trial.params:
            study.enqueue_trial(trial.params)


def _tell(study: Any, trial: Any, value: float) -> None:
    if value == value:
        study.tell(trial, value)
    else:
        study.tell(trial, state=_state("FAIL"))


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]


def _suggest(trial: Any, grids: Grids) -> Params:
    """The parameters of a trial; empty for the config's own loss."""
    family = trial.suggest_categorical("family", [OWN, *grids])
    if family == OWN:
        return {}
    values = {name: trial.suggest_categorical(f"{family}.{name}", grid) for name, grid in grids[family].items()}
    return dict(family=family, **values)


def _optuna_params(params: Params) -> Params:
    """The names that Optuna knows them by: parameters of two families may have one name and two grids."""
    family = params.get("family", OWN)
    return {"family": family} | {f"{family}.{key}": value for key, value in params.items() if key != "family"}


def _finished(study: Any) -> Iterator[TrialResult]:
    for trial in study.trials:
        if "name" in trial.user_attrs and trial.state.is_finished():
            values = {key.rpartition(".")[2]: value for key, value in trial.params.items()}
            params = {} if values["family"] == OWN else values
            value = float("nan") if trial.value is None else trial.value
            yield TrialResult(trial.user_attrs["name"], value, trial.user_attrs["minutes"], params)
