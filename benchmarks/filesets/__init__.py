"""What grouping and importing of filesets cost, beside the least possible cost.

`make bench-filesets` runs it; see "Benchmarks" in CONTRIBUTING.rst.
"""
