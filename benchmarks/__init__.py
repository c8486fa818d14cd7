"""Benchmarks: what they measure and how to run them is in docs/benchmarks.md."""

from lavida.threads import wait_passively

wait_passively()  # before a benchmark imports PyTorch; the processes that it starts inherit it
