"""Measurements of speed and memory; `python -m benchmarks.run` makes all of them."""
