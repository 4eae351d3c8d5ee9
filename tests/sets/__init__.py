"""Sets of every kind, each of whose members is late, empty, cut short or full of holes.

``kinds`` makes the sets, ``table`` tries them and says what came of it.  ``python -m tests.sets``
prints the whole table, over each Bio-Formats that is given and without Java.
"""
