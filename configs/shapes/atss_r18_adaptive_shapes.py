_base_ = "atss_r18_asl_shapes.py"

model = dict(
    bbox_head=dict(loss_cls=dict(type="AdaptiveAsymmetricLoss", target_gap=-0.3, step_size=0.1, min_score=0.05))
)
custom_hooks = [dict(type="AdaptiveAsymmetryHook"), dict(type="ProbabilityGapHook")]
