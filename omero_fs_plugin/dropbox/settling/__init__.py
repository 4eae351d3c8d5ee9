"""From a file that was met to a set of files at rest.

Rule: a set is queued when all of its files are quiet, unchanged and not held by a writer.

``pipeline`` is one step of the whole, ``settle`` knows when a file rests, ``writers`` who holds it;
``lots`` says what is asked about together, ``groupers`` are the threads that answer, ``assembly``
makes filesets of the answers; ``handover`` does the same for `omero fs import`.
"""
