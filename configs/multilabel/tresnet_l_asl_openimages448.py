"""A TResNet-L with ASL (arXiv 2009.14119) on Open Images V6, 448 x 448, 9,605 trainable classes.

Paper      mAP 86.3 (mean over the classes; the authors call it micro), 92.8 (they call it macro)
Here       not measured
Data       data/open_images/{train,test}/<ImageID>.jpg, the human-verified image labels of both, and the class list:
           https://storage.googleapis.com/openimages/web/download_v6.html
Unknown    unannotated labels are negatives, as in the paper. To leave them out of loss and metric:
           unannotated="ignore" in both data sets, and the loss inside of dict(type="PartialLabelLoss", loss=...)
Train      bash tools/dist_train.sh configs/multilabel/tresnet_l_asl_openimages448.py 8    (8 GPUs x 16 images)
"""

_base_ = "../_base_/multilabel.py"

dataset = dict(
    type="OpenImages",
    data_root="data/open_images/",
    class_file="oidv6-classes-trainable.txt",
    unannotated="negative",
)
train_dataloader = dict(
    dataset=dict(ann_file="oidv6-train-annotations-human-imagelabels.csv", data_prefix="train/", **dataset)
)
val_dataloader = dict(dataset=dict(ann_file="test-annotations-human-imagelabels.csv", data_prefix="test/", **dataset))
test_dataloader = val_dataloader
model = dict(
    data_preprocessor=dict(num_classes=9605),
    backbone=dict(type="TIMMBackbone", model_name="tresnet_l.miil_in1k", pretrained=True),
    head=dict(num_classes=9605, in_channels=2432),
)
