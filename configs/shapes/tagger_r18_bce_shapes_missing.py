_base_ = "tagger_r18_bce_shapes.py"

train_dataloader = dict(dataset=dict(data_root="data/shapes_tags_missing/"))
