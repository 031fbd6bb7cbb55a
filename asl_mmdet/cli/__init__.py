"""What the commands do, a module each with ``main(args)``; :mod:`asl_mmdet_cli` has their command lines."""
