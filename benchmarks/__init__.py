"""Benchmarks: how fast, against peers on the same broker in the same run. `make bench`, or `python -m benchmarks`.

They print and keep figures, and assert nothing about time. docs/explanation/performance.md says what they show.
"""
