"""One label per image: a TResNet-L with the softmax form of ASL (arXiv 2009.14119) on Herbarium 2020.

Here       not measured
Data       data/herbarium2020/{train.json,val.json}, two parts of the published train/metadata.json (COCO format; the
           labels of its test set are not public), and the images/ that they name
Train      bash tools/dist_train.sh configs/multilabel/tresnet_l_asl_herbarium2020.py 8    (8 GPUs x 16 images)
"""

_base_ = "../_base_/multilabel.py"

dataset = dict(type="CocoMultiLabel", data_root="data/herbarium2020/")  # with one label an image
train_dataloader = dict(dataset=dict(ann_file="train.json", **dataset))
val_dataloader = dict(dataset=dict(ann_file="val.json", **dataset))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type="Accuracy", topk=(1, 5)),
    dict(type="SingleLabelMetric", items=("f1-score",)),
]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best="accuracy/top1"))
model = dict(
    data_preprocessor=dict(num_classes=32093, to_onehot=False),
    backbone=dict(type="TIMMBackbone", model_name="tresnet_l.miil_in1k", pretrained=True),
    head=dict(
        _delete_=True,
        type="LinearClsHead",
        num_classes=32093,
        in_channels=2432,
        loss=dict(
            type="mmdet.AsymmetricLoss",
            use_sigmoid=False,
            gamma_pos=0.0,
            gamma_neg=4.0,
            clip=0.0,
            alpha=None,
            label_smoothing=0.1,
            detach_focusing=True,
        ),
    ),
)
