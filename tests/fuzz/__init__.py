"""Fuzzing with atheris: `python -m tests.fuzz --seconds 60 [FORMAT…]`."""
