"""What the system's words mean: which file is new, changed or gone.

Rule: pure.  Time, events and the disk are handed in, so each decision can be tested without any.

``tracker`` decides, with ``arrivals`` (when a file is told of), ``watches`` (what is watched or
polled), ``comparison`` (disk against ``tree``); ``picture`` is what a client knows, as values.
"""
