"""No evaluation is lost when a run is killed."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner


@HOOKS.register_module()
class EvaluateOnResumeHook(Hook):
    """Evaluate the checkpoint that a run resumes from, if an evaluation was due after its epoch.

    MMEngine saves a checkpoint before it evaluates it. A run that is killed in between loses that evaluation, and
    one that is killed later loses what ``save_best`` knew of it. Runs by iterations are left as they are.
    """

    priority = "LOWEST"

    def before_train(self, runner: Runner) -> None:
        """Evaluate, as the loop would have done before its next epoch."""
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop) or runner.val_loop is None or loop.epoch == 0:
            return
        is_last = loop.epoch == loop.max_epochs
        if loop.epoch >= loop.val_begin and (is_last or loop.epoch % loop.val_interval == 0):
            runner.logger.info(f"evaluating epoch {loop.epoch} once more, as that may have been cut short")
            runner.val_loop.run()
