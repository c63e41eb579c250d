"""Observations -> verdict per kernel -> changes between two kernels -> exit code."""
