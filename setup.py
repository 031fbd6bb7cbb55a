"""Copies what MIM looks for into the wheel, as asl_mmdet/.mim: configs/, tools/ and model-index.yml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithMim(build_py):
    """The standard build, and then the folder that MMDetection projects have."""

    def run(self) -> None:
        """Build; an editable install uses the checkout's own folders."""
        super().run()
        if not self.editable_mode:
            for folder in ("configs", "tools"):
                target = Path(self.build_lib) / "asl_mmdet" / ".mim" / folder
                shutil.copytree(folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy("model-index.yml", target.parent)


setup(cmdclass={"build_py": BuildWithMim})
