"""A TResNet-L with ASL (arXiv 2009.14119) on NUS-WIDE, 448 x 448, 81 classes.

Paper      mAP 65.2
Here       not measured
Data       data/nus_wide/nus_wid_data.csv (the authors' split) and the images that it names, below data/nus_wide/
Train      bash tools/dist_train.sh configs/multilabel/tresnet_l_asl_nuswide448.py 8    (8 GPUs x 16 images)
"""

_base_ = "../_base_/multilabel.py"

dataset = dict(type="NUSWide", data_root="data/nus_wide/", ann_file="nus_wid_data.csv")
train_dataloader = dict(dataset=dict(split="train", **dataset))
val_dataloader = dict(dataset=dict(split="val", **dataset))
test_dataloader = val_dataloader
model = dict(
    data_preprocessor=dict(num_classes=81),
    backbone=dict(type="TIMMBackbone", model_name="tresnet_l.miil_in1k", pretrained=True),
    head=dict(num_classes=81, in_channels=2432),
)
