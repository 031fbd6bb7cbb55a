"""The commands, a module each with ``main(argv)``; the scripts in ``tools/`` call them."""
