"""bfloat16 against float32 on a CPU: the shapes configs as they are, and as ``tools/train.py --amp`` trains them.

Feeds docs/results/scale.md.
"""

configs = {name: f"configs/shapes/{name}_r18_asl_shapes.py" for name in ("atss", "classifier", "fcos", "retinanet")}
losses = dict(asl=None)
baseline = "asl"
data = dict(float32={}, bfloat16={"optim_wrapper.type": "BFloat16OptimWrapper"})
seeds = (0,)
shapes = {"data/shapes": {}, "data/shapes_tags": dict(num_train=4000, num_val=1000)}
minutes = 5
