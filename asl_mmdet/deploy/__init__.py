"""Detectors after the training: loaded for a folder of images, exported to ONNX, and run from there."""
