"""DropBox: imports what users copy into their directories, each file exactly once.

Rule: the disk and the journal are the truth.  It never imports FSServer: the two meet over Ice.

The rooms stand in the order of a file's way: ``watching`` meets it, ``settling`` waits until it
rests, ``grouping`` finds what belongs together, ``journal`` remembers, ``importing`` brings it to
OMERO, ``targets`` says where to.  ``service`` is all of it, from start to stop; ``places`` and
``users`` know whose a file is, ``confine`` opens it.
"""
