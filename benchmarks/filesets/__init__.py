"""What grouping and importing of filesets cost, beside the least that they could.

`make bench-filesets` runs it; see "Benchmarks" in CONTRIBUTING.rst.
"""
