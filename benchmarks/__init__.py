"""What FSServer costs, and whether it misses events.  The same run measures others too.

`make bench` runs it; see "Benchmarks" in CONTRIBUTING.rst.
"""
