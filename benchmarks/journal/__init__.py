"""What many files at once cost the journal, and how the cost grows with their number.

`make bench-journal` runs it; see "Benchmarks" in CONTRIBUTING.rst.
"""
