"""Run a script of MMDetection where mmcv has no compiled ops: python -m asl_mmdet.run SCRIPT ARGS.

MMDetection's scripts import its models before they read a config, and with it the line that imports ``asl_mmdet``.
Here the package comes first, and with it the fallback of :mod:`asl_mmdet.compat.mmcv_ops`, its losses and its hooks.
Where mmcv has its ops, the script runs as ``python SCRIPT ARGS`` would.
"""

import argparse
import runpy
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from asl_mmdet.errors import UserError


def main(argv: Sequence[str] | None = None) -> None:
    """Find the script and run it as the main program."""
    parser = argparse.ArgumentParser(
        prog="python -m asl_mmdet.run",
        description="Run a script of MMDetection, with torchvision's ops where mmcv has no compiled ones.",
    )
    parser.add_argument(
        "script", help="a path, or a name in the tools/ or demo/ that MMDetection installs, such as get_flops.py"
    )
    parser.add_argument("args", nargs=argparse.REMAINDER, help="what the script takes")
    args = parser.parse_args(argv)
    try:
        script = find_script(args.script)
    except UserError as error:
        parser.error(str(error))
    before = sys.argv, sys.path.copy()
    sys.argv = [str(script), *args.args]
    sys.path[0] = str(script.parent)  # as for `python SCRIPT`
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before


def find_script(name: str) -> Path:
    """The file of a script.

    Args:
        name: A path, or the name or the end of the path of a script in MMDetection's ``.mim/tools`` and
            ``.mim/demo``; of several that fit, the one that is least deep.

    Raises:
        UserError: If there is none, or if the name fits more than one of the same depth.
    """
    if Path(name).is_file():
        return Path(name)
    wanted = Path(name).with_suffix(".py").parts
    scripts = dict(_installed_scripts())
    fitting = [Path(part) for part in scripts if Path(part).parts[-len(wanted) :] == wanted]
    depth = min((len(path.parts) for path in fitting), default=0)
    found = [path.as_posix() for path in fitting if len(path.parts) == depth]
    if len(found) == 1:
        return scripts[found[0]]
    if found:
        raise UserError(f"SCRIPT {name}: this may be {' or '.join(found)}; write one of them")
    known = ", ".join(sorted(scripts)) or "none"
    raise UserError(f"SCRIPT {name}: there is no such file, and no such script of MMDetection. It installed {known}")


def _installed_scripts() -> Iterator[tuple[str, Path]]:
    """The scripts that MMDetection has installed, by their paths below ``tools`` and ``demo``."""
    spec = find_spec("mmdet")
    root = Path(spec.origin).parent / ".mim" if spec and spec.origin else Path()
    for folder in ("tools", "demo"):
        for path in sorted((root / folder).glob("**/*.py")):
            yield path.relative_to(root / folder).as_posix(), path


if __name__ == "__main__":
    main()
