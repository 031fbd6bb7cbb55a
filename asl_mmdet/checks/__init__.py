"""What is wrong with a data set or a config, found before hours of training show it.

Every check is a :class:`~asl_mmdet.checks.finding.Rule` in one of the lists below; to add one takes one entry. Nothing
in here prints or ends a program.
"""

from asl_mmdet.checks.coco import check_datasets, check_labels
from asl_mmdet.checks.config import check_config
from asl_mmdet.checks.finding import Finding

__all__ = ["check_config", "check_datasets", "check_labels", "Finding"]
