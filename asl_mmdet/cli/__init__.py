"""What the commands do, a module each with ``main(args)``; :mod:`asl_mmdet_cli` has their command lines."""

import sys

for _stream in (sys.stdout, sys.stderr):
    if hasattr(_stream, "reconfigure"):  # a class name that the terminal has no letters for ends no command
        _stream.reconfigure(errors="backslashreplace")
