"""Draw all pictures again: ``python -m docs_build.pictures``."""

from docs_build.pictures import FOLDER, PICTURES, write

FOLDER.mkdir(exist_ok=True)
for name in PICTURES:
    print(write(name).name)
