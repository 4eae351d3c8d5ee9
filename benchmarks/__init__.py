"""What FSServer costs and whether it loses anything, beside others in the same run.

`make bench` runs it; see "Benchmarks" in CONTRIBUTING.rst.
"""
