"""What DropBox achieves and costs, on a sandbox grid made for it.

`make bench-dropbox` runs it; see "Benchmarks" in CONTRIBUTING.rst.
"""
