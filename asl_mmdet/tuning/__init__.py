"""Which loss, with which parameters, fits a data set: a search within a budget of trials and minutes.

``space`` says what is tried, ``search`` tries it with Optuna (the extra ``tune``), ``parts`` holds out a part of the
training set, and ``report`` writes what was found. ``tools/tune_loss.py`` is the command.
"""

from asl_mmdet.tuning.parts import split_annotations
from asl_mmdet.tuning.search import TrialResult, search
from asl_mmdet.tuning.space import FAMILIES, OWN, block_of, name_of

__all__ = ["FAMILIES", "OWN", "TrialResult", "block_of", "name_of", "search", "split_annotations"]
