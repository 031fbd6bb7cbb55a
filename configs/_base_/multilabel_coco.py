"""MS-COCO 2014 as a multi-label set: 82,081 training and 40,137 validation images, 80 classes."""

_base_ = "multilabel.py"

dataset = dict(type="CocoMultiLabel", data_root="data/coco/")
train_dataloader = dict(
    dataset=dict(ann_file="annotations/instances_train2014.json", data_prefix="train2014/", **dataset)
)
val_dataloader = dict(dataset=dict(ann_file="annotations/instances_val2014.json", data_prefix="val2014/", **dataset))
test_dataloader = val_dataloader
model = dict(data_preprocessor=dict(num_classes=80), head=dict(num_classes=80))
