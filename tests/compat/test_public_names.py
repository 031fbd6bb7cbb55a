"""What 0.1 had to import can still be imported."""

import importlib

import pytest

NAMES = {
    "losses": ("AdaptiveAsymmetricLoss", "AsymmetricLoss", "asymmetric_loss", "asymmetric_softmax_loss"),
    "losses.functional": ("IMPLS", "REDUCTIONS", "asymmetric_loss", "asymmetric_softmax_loss"),
    "losses.asymmetric_loss": ("AsymmetricLoss",),
    "losses.adaptive": ("AdaptiveAsymmetricLoss",),
    "losses.probability": ("probability_gap", "probability_sums"),
    "losses.presets": ("PRESETS",),
    "hooks": ("AdaptiveAsymmetryHook", "ProbabilityGapHook"),
    "training": ("BFloat16OptimWrapper", "EvaluateOnResumeHook", "NonFiniteLossHook"),
    "multilabel": (
        *("CocoMultiLabel", "MLDecoderClsHead", "MultiLabelTable", "NUSWide", "OFA595", "OpenImages"),
        *("PartialLabelLoss", "VOCMultiLabelTable"),
    ),
    "multilabel.open_images": ("ImageLabels", "OpenImages"),
    "benchmark": (*("COCO_STATS", "Plan", "collect", "detection_metrics", "environment", "thirds"),),
    "checks": ("Finding", "check_config", "check_datasets"),
    "checkpoints": ("find_resumable", "load_checkpoint", "only_weights"),
    "shapes": ("MAX_CLASSES", "class_names", "make_shapes"),
    "mmcv_ops": ("install_stand_in",),
}


@pytest.mark.parametrize("module, name", [(module, name) for module, names in NAMES.items() for name in names])
def test_name_of_0_1_can_be_imported(module, name):
    assert hasattr(importlib.import_module(f"asl_mmdet.{module}"), name)
