"""How time and memory grow with what people have: files, users, rules, directories.

`make bench-growth` runs it; see "Benchmarks" in CONTRIBUTING.rst.
"""
