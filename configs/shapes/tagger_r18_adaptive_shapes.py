_base_ = "tagger_r18_asl_shapes.py"

model = dict(
    head=dict(loss=dict(type="mmdet.AdaptiveAsymmetricLoss", gamma_neg=2.0, target_gap=0.1, step_size=0.1)),
)
custom_hooks = [dict(type="AdaptiveAsymmetryHook"), dict(type="ProbabilityGapHook")]
