"""Trainings and predictions as runs: their processes, locks, keys, logs and pictures."""
