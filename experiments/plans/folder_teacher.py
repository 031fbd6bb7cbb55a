"""A mean teacher that finds the missing boxes while it trains, beside the losses for missing boxes, on real images.

Feeds docs/results/missing_labels.md.

    PYTHONPATH=. COCO_FOLDER=data/chess TRAIN_IMAGES=2500 \
        python tools/benchmark.py experiments/plans/folder_teacher.py --out work_dirs/benchmark/chess_teacher

``ema`` trains as folder_tuned.py does and evaluates the average of the weights. In ``teacher_ignore`` this average,
which is the teacher, marks what it finds as ignored regions, in ``teacher_teach`` as boxes
(experiments/rivals/teacher.py); in ``fast_teacher_ignore`` it follows the student more closely and needs lower
scores. Half of the boxes are missing, as in folder_tuned.py, which says what is needed; the losses are those of
folder_protocols.py.
"""

_base_ = ["folder_protocols.py"]
_average = dict(type="EMAHook", momentum=0.005)
_fast = dict(type="EMAHook", momentum=0.02)
_half = {"train_dataloader.dataset.ann_file": "annotations/train_missing50.json"}
_ignore = {"model.train_cfg.assigner.ignore_iof_thr": 0.5}

data = {
    "_delete_": True,
    "ema": {**_half, "custom_hooks": [_average]},
    "teacher_ignore": {**_half, **_ignore, "custom_hooks": [_average, dict(type="TeacherBoxesHook")]},
    "fast_teacher_ignore": {**_half, **_ignore, "custom_hooks": [_fast, dict(type="TeacherBoxesHook", score_thr=0.25)]},
    "teacher_teach": {**_half, "custom_hooks": [_average, dict(type="TeacherBoxesHook", teach=True)]},
}
options = {"custom_imports.imports": ["asl_mmdet", "experiments.rivals.teacher"]}
