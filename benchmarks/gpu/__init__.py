"""A GPU run that needs no network: prepared on one machine, run on another, collected on the first.

`python -m benchmarks.gpu --help` says how.
"""
