"""Files in COCO format and the images that they name: reading, counting, mending, merging, making."""
