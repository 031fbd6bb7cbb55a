"""The share of missing boxes, estimated while a detector trains, for the loss that needs it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from asl_mmdet.audit.added_boxes import labelled
from asl_mmdet.audit.missing_share import LEAST, LOWEST, MissingShare, Places, join, missing_share, places_of
from asl_mmdet.coco.format import write_json
from asl_mmdet.coco.known_categories import COMPLETE, META_KEY
from asl_mmdet.hooks._common import unwrapped_model
from asl_mmdet.hooks._predict import boxes_of, number_of_boxes, parts_of_training, predicting
from asl_mmdet.hooks.found_boxes import FoundBoxesHook
from asl_mmdet.losses.missing_rate import auto_losses

KEY = "missing_share"  # in the message hub, and so in checkpoints
FILE = "missing_share.json"  # in the work directory
HIGHEST = 0.95  # of what a loss is told
_NUMBER = "Give MissingRateLoss a number as missing_rate"


@HOOKS.register_module()
class MissingShareHook(Hook):
    """Tell :class:`~asl_mmdet.losses.MissingRateLoss` with ``missing_rate='auto'`` what share of objects has no box.

    So it tells :class:`~asl_mmdet.hooks.FoundBoxesHook`, and what is said of the loss holds for the hook.

    A few times in a training it predicts validation images, which must lack boxes as the training images do, and
    estimates the share by :func:`asl_mmdet.audit.missing_share.missing_share`. Training images would not do: a detector
    soon learns what they lack. Nor would images that are known to be complete: those that
    :class:`~asl_mmdet.known_classes.KnownClassesCoco` says are ``complete`` are left out. An estimate that is doubtful
    is logged and not used: the loss keeps the share that it has, at first 0, with which it ignores nothing. A share
    below 0.05 is taken for 0: on complete data the loss stays what it is without it.

    Boxes that ``tools/audit_labels.py`` added to the training images, or to the validation images, are counted: the
    loss is told what is missing after that.

    The log has every estimate, and as the last line of the training what was used. ``missing_share.json`` in the work
    directory has them too. Checkpoints have the share: ``--resume`` continues with it. All processes have the same.

    A config need not name the hook: MMEngine's ``Runner`` gets one where a loss needs it
    (:func:`asl_mmdet.hooks.automatic.add_needed_hooks`).

    Args:
        at: When to estimate, as parts of the training in (0, 1).
        max_images: How many images to predict at most.
        score_thr: The detector's ``score_thr`` meanwhile.

    Raises:
        ValueError: If an argument is out of range; before the training starts, if nothing has
            ``missing_rate='auto'``, if there is no validation, or if its images have no boxes.
    """

    def __init__(
        self, at: Sequence[float] = (0.1, 0.25, 0.5, 0.75), max_images: int = 300, score_thr: float = 0.01
    ) -> None:
        self.at = parts_of_training(self, at)
        if max_images < 1:
            raise ValueError(f"MissingShareHook got max_images={max_images}: use a whole number from 1")
        self.max_images, self.score_thr = max_images, score_thr

    def before_run(self, runner: Runner) -> None:
        """Find the losses, and look whether there is something to estimate the share from."""
        self.told = told_the_share(runner)
        if not self.told:
            raise ValueError(
                "MissingShareHook finds no MissingRateLoss with missing_rate='auto' in the model, nor a FoundBoxesHook "
                "with it: use one, or drop the hook"
            )
        if runner.val_loop is None:
            raise ValueError(
                "missing_rate='auto' is estimated on the validation images, and the config has no val_dataloader with "
                f"val_cfg and val_evaluator: write them. {_NUMBER} otherwise"
            )
        dataset = runner.val_dataloader.dataset
        images = min(len(dataset), self.max_images)
        number = sum(map(number_of_boxes, map(dataset.get_data_info, range(images))))
        if not number:
            raise ValueError(
                "missing_rate='auto' is estimated on the validation images, and the first "
                f"{images} of them have no box at all, but for those that are complete. {_NUMBER}, or use images with "
                "boxes"
            )
        if number < LEAST:
            runner.logger.warning(
                f"missing_rate='auto' is estimated on {images} validation images, which have {number} boxes. That may "
                f"be too few to tell: the loss would then ignore nothing. {_NUMBER} if you know the share"
            )

    def before_train(self, runner: Runner) -> None:
        """Find when to estimate, and what was estimated before a resume."""
        self._iterations = {max(1, round(part * runner.max_iters)) for part in self.at}
        self._training, self._seen = labelled(runner.cfg.get("train_dataloader"), runner.cfg.get("val_dataloader"))
        self.estimates: list[dict[str, Any]] = runner.message_hub.runtime_info.get(KEY, [])
        for one in self.told if self.estimates else ():
            one.tell(self.estimates[-1]["used"])

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Estimate, if it is time."""
        if runner.iter + 1 not in self._iterations:
            return
        parts = [part for parts in all_gather_object(_places(self, runner)) for part in parts]
        if not parts:
            return
        found = missing_share(join(parts))
        if not found.doubt:
            share = self._training.share_left(min(found.share, HIGHEST), self._seen)
            share = share if share >= LOWEST else 0.0
            for one in self.told:
                one.tell(share)
        used = float(self.told[0].missing_rate)
        verb = "stays" if found.doubt else "is"
        text = f"objects without a box, by {len(parts)} validation images: {found}; missing_rate {verb} {used:.2f}"
        text += "" if used else ", no background is ignored"
        if added := self._training.by_audit:
            text += f", as an audit has added {added} boxes to the training images"
        runner.logger.info(text)
        self._keep(runner, found, used, len(parts))

    def after_train(self, runner: Runner) -> None:
        """Log what was used in the end."""
        file = Path(runner.work_dir) / FILE
        if trusted := [one for one in self.estimates if not one["doubt"]]:
            estimate = "{share:.2f} [{low:.2f}, {high:.2f}]".format(**trusted[-1])
            text = f"{estimate} of the objects have no box, by the validation images ({file})"
            if added := self._training.by_audit:
                text = f"{trusted[-1]['used']:.2f} for the training images, where an audit added {added} boxes; {text}"
        elif self.estimates:
            doubt = self.estimates[-1]["doubt"]
            text = f"the share could not be told, and no background was ignored: {doubt} ({file}). {_NUMBER}"
        else:
            text = "the training was too short to estimate the share"
        runner.logger.info(f"missing_rate='auto': {text}")

    def _keep(self, runner: Runner, found: MissingShare, used: float, images: int) -> None:
        """The estimate in checkpoints and in the work directory."""
        estimate = dict(iter=runner.iter + 1, images=images, used=used, **asdict(found))
        estimate = {name: None if value != value else value for name, value in estimate.items()}  # JSON has no NaN
        self.estimates = [*self.estimates, estimate]
        runner.message_hub.update_info(KEY, self.estimates)
        if is_main_process():
            write_json(Path(runner.work_dir) / FILE, self.estimates, indent=1)


def told_the_share(runner: Runner) -> list[Any]:
    """What has ``missing_rate='auto'``: losses of the model, and hooks that look for missing boxes."""
    hooks = [one for one in runner.hooks if isinstance(one, FoundBoxesHook) and one.is_auto]
    return [*auto_losses(unwrapped_model(runner)).values(), *hooks]


def _places(hook: MissingShareHook, runner: Runner) -> list[Places]:
    """The places of this process's images: the first ones of the loader, in every call."""
    loader = runner.val_dataloader
    dataset = loader.dataset
    infos = {info["img_id"]: info for info in map(dataset.get_data_info, range(len(dataset)))}
    number = len(dataset.metainfo["classes"]) + 1  # the last one for boxes of an unknown class, which are boxes too
    wanted = -(-hook.max_images // get_world_size())
    model: Any = unwrapped_model(runner)
    places: list[Places] = []
    with predicting(model, hook.score_thr):
        for batch in loader:
            samples = [sample for sample in model.val_step(batch) if not infos[sample.img_id].get(COMPLETE)]
            places += [_of_sample(sample, infos[sample.img_id], number) for sample in samples]
            if len(places) >= wanted:
                break
    return places[:wanted]


def _of_sample(sample: Any, info: dict[str, Any], num_classes: int) -> Places:
    found, given, ignored = boxes_of(sample, info)
    return places_of(found, given, num_classes, ignored, info.get(META_KEY))
