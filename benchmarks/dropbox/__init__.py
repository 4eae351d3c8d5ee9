"""What DropBox achieves and costs, on a sandbox grid of its own.

`make bench-dropbox` runs it; see "Benchmarks" in CONTRIBUTING.rst.
"""
