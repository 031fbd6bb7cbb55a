_base_ = "../_base_/shapes_multilabel.py"

model = dict(head=dict(loss=dict(type="FocalLoss", gamma=2.0, alpha=0.5)))
