_base_ = "../_base_/shapes_multilabel.py"

model = dict(head=dict(loss=dict(type="CrossEntropyLoss", use_sigmoid=True)))
