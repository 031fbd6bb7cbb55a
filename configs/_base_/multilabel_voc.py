"""PASCAL VOC 2007 as a multi-label set: trainval to train, test to evaluate, 20 classes, without difficult labels."""

_base_ = "multilabel.py"

dataset = dict(type="VOC", data_root="data/VOCdevkit/VOC2007/")
train_dataloader = dict(dataset=dict(split="trainval", **dataset))
val_dataloader = dict(dataset=dict(split="test", **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type="VOCMultiLabelTable")
test_evaluator = val_evaluator
model = dict(data_preprocessor=dict(num_classes=20), head=dict(num_classes=20))
