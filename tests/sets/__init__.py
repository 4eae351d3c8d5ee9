"""Sets of every kind, each of whose members is damaged in every way: see ``table.FAULTS``.

``kinds`` makes the sets, ``table`` tries them and says what came of it.  ``python -m tests.sets``
prints the whole table, over each Bio-Formats that is given and without Java.
"""
