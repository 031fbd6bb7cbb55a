"""The commands, a module each with ``main(argv)``; the scripts in ``tools/`` call them."""

import sys

for _stream in (sys.stdout, sys.stderr):
    if hasattr(_stream, "reconfigure"):  # a class name that the terminal has no letters for ends no command
        _stream.reconfigure(errors="backslashreplace")
