"""Small data sets in the formats that can be imported, by hand; each image is of 40 x 30 pixels."""

import json

from PIL import Image

SIZE = (40, 30)
BOX = [8.0, 6.0, 16.0, 12.0]  # x, y, width, height
YOLO_BOX = "0.4 0.4 0.4 0.4"


def write(root, files):
    """Write files by their paths: a text, bytes, a content for JSON, or None for an image."""
    for number, (name, content) in enumerate(files.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            Image.new("RGB", SIZE, (40 * number % 256, 90, 160)).save(path)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return root


def coco(names, classes=("cat", "dog"), boxes=None, **more):
    """A content: by default one box of the first class in every image; ``boxes`` has (image, class) by their places."""
    boxes = [(i, 0) for i in range(len(names))] if boxes is None else boxes
    return dict(
        images=[dict(id=i, file_name=name, width=SIZE[0], height=SIZE[1]) for i, name in enumerate(names, 1)],
        annotations=[
            dict(id=n, image_id=i + 1, category_id=c + 1, bbox=BOX, area=192.0, iscrowd=0)
            for n, (i, c) in enumerate(boxes, 1)
        ],
        categories=[dict(id=i, name=name) for i, name in enumerate(classes, 1)],
        **more,
    )


def xml(*objects, size=SIZE, filename="unknown.jpg"):
    """A VOC file; an object is its inner XML, or the name of a class for one with BOX."""
    inner = "".join(f"<object>{text if '<' in text else voc_object(text)}</object>" for text in objects)
    return (
        f"<annotation><filename>{filename}</filename><size><width>{size[0]}</width><height>{size[1]}</height>"
        f"<depth>3</depth></size>{inner}</annotation>"
    )


def voc_object(name, more=""):
    """The inner XML of an object at BOX, whose first pixel is 1, 1 there."""
    return f"<name>{name}</name>{more}<bndbox><xmin>9</xmin><ymin>7</ymin><xmax>24</xmax><ymax>18</ymax></bndbox>"


def yolo(images, names="[cat, dog]", head="train: images\n", labels=f"0 {YOLO_BOX}\n"):
    """The files of a YOLO folder: images/ and labels/ by name, each with the same label file."""
    files = {"data.yaml": f"{head}names: {names}\n"}
    for name in images:
        files |= {f"images/{name}.jpg": None, f"labels/{name}.txt": labels}
    return files


NAMES = [f"{letter}.jpg" for letter in "abcde"]
IMAGES = dict.fromkeys(NAMES)
STEMS = [name.removesuffix(".jpg") for name in NAMES]
# What exporters write, each with five images of a cat in two splits or none, and what tells it.
FOREIGN = {
    "roboflow": (
        {
            "README.dataset.txt": "# pieces",
            **{f"train/{name}": None for name in NAMES[:4]},
            "train/_annotations.coco.json": coco(NAMES[:4]),
            "valid/e.jpg": None,
            "valid/_annotations.coco.json": coco(["e.jpg"]),
        },
        "COCO: images, annotations and categories in train/_annotations.coco.json and valid/_annotations.coco.json, "
        "named as Roboflow does",
    ),
    "cvat": (
        {
            **{f"images/{name}": None for name in NAMES},
            "annotations/instances_default.json": {
                **coco(NAMES),
                "annotations": [{**a, "attributes": {"occluded": False}} for a in coco(NAMES)["annotations"]],
            },
            "annotations/person_keypoints_default.json": coco(NAMES),
        },
        "COCO: images, annotations and categories in annotations/instances_default.json, with attributes as CVAT",
    ),
    "label studio": (
        {
            **{f"images/{name}": None for name in NAMES},
            "result.json": coco([f"images\\1a2b3c4d-{n}" for n in NAMES], info=dict(contributor="Label Studio")),
        },
        "COCO: images, annotations and categories in result.json, written by Label Studio",
    ),
    "coco of 2017": (
        {
            **{f"train2017/{name}": None for name in NAMES[:4]},
            "val2017/e.jpg": None,
            "annotations/instances_train2017.json": coco(NAMES[:4]),
            "annotations/instances_val2017.json": coco(["e.jpg"]),
        },
        "COCO: images, annotations and categories in annotations/instances_train2017.json and",
    ),
    "one json beside the images": ({**IMAGES, "labels.json": coco(NAMES)}, "COCO: images, annotations and categories"),
    "yolo": (yolo(STEMS), "YOLO: class names in data.yaml"),
    "yolo of roboflow": (
        {
            "data.yaml": "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnames: ['cat', 'dog']",
            **{f"train/images/{name}.jpg": None for name in STEMS[:4]},
            **{f"train/labels/{name}.txt": f"0 {YOLO_BOX}" for name in STEMS[:4]},
            "valid/images/e.jpg": None,
            "valid/labels/e.txt": f"0 {YOLO_BOX}",
        },
        "YOLO: class names in data.yaml",
    ),
    "yolo of label studio": (
        {**{k: v for k, v in yolo(STEMS).items() if k != "data.yaml"}, "classes.txt": "cat\ndog\n", "notes.json": {}},
        "YOLO: class names in classes.txt and boxes in labels/a.txt",
    ),
    "yolo of cvat": (
        {
            "obj.names": "cat\ndog\n",
            "obj.data": "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = obj.names\nbackup =\n",
            "train.txt": "".join(f"data/obj_train_data/{name}\n" for name in NAMES[:4]),
            "valid.txt": "data/obj_train_data/e.jpg\n",
            **{f"obj_train_data/{name}": None for name in NAMES},
            **{f"obj_train_data/{name}.txt": f"0 {YOLO_BOX}" for name in STEMS},
        },
        "YOLO: class names in obj.names and boxes in obj_train_data/a.txt",
    ),
    "yolo darknet of roboflow": (
        {
            **{f"train/{name}": None for name in NAMES[:4]},
            **{f"train/{name}.txt": f"0 {YOLO_BOX}" for name in STEMS[:4]},
            "train/_darknet.labels": "cat\ndog\n",
            "valid/e.jpg": None,
            "valid/e.txt": f"0 {YOLO_BOX}",
            "valid/_darknet.labels": "cat\ndog\n",
        },
        "YOLO: class names in train/_darknet.labels and valid/_darknet.labels and boxes in train/a.txt",
    ),
    "voc": (
        {
            **{f"JPEGImages/{name}": None for name in NAMES},
            **{f"Annotations/{name}.xml": xml("cat") for name in STEMS},
            "ImageSets/Main/train.txt": "a\nb\nc\nd\n",
            "ImageSets/Main/val.txt": "e\n",
            "ImageSets/Main/trainval.txt": "a\nb\nc\nd\ne\n",
            "ImageSets/Main/cat_train.txt": "a  1\nb -1\n",
        },
        "Pascal VOC: the root <annotation> in Annotations/a.xml",
    ),
    "voc of roboflow": (
        {
            **{f"train/{name}": None for name in NAMES[:4]},
            **{f"train/{name}.xml": xml("cat") for name in STEMS[:4]},
            "valid/e.jpg": None,
            "valid/e.xml": xml("cat"),
        },
        "Pascal VOC: the root <annotation> in train/a.xml",
    ),
}


def load(root, split="train"):
    """The content of a file that was written."""
    return json.loads((root / f"annotations/{split}.json").read_text())


def files_of(root, split):
    """The images of a file that was written."""
    return {image["file_name"] for image in load(root, split)["images"]}


def notes(done):
    """What an import says that it did not read."""
    return "\n".join(done.notes.lines())
