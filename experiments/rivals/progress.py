"""How far a training is, as MMEngine's RuntimeInfoHook notes it; every runner has that hook."""

from mmengine.logging import MessageHub


def current_epoch() -> int:
    """The running epoch, from 0; 0 outside of a runner."""
    return int(MessageHub.get_current_instance().get_info("epoch", 0))
