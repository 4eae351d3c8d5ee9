"""From a file that was met to a set of files at rest.

Rule: a set is queued when all of its files are quiet, unchanged and not held by a writer.

``pipeline`` is one step of the whole: ``meeting`` takes what is news, ``resting`` what rests, by
``settle``, which knows when, and ``writers``, who holds it; ``underway`` is what is known of each
file, ``outside`` what others know.  ``lots`` says what is asked about together, by
``neighbourhood``, ``groupers`` are the threads that answer, ``around`` looks at what an answer
names besides, ``assembly`` makes filesets of it.  ``handover`` does the same for `omero fs import`.
"""
