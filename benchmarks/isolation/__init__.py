"""What it costs that nobody's share, file or account can hurt others, beside an earlier commit.

`make bench-isolation` runs it; see "Benchmarks" in CONTRIBUTING.rst.
"""
