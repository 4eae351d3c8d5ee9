"""From the queue to OMERO: each fileset once, whole, for the right user.

Rule: an attempt that was interrupted is resolved by asking OMERO, never by guessing.

``workers`` are the importers' threads, ``lookout`` lets those wait that have nothing to do, and
``line`` has the users with something in the queue.
``importing`` imports one fileset, ``attempts`` makes one attempt at it.  ``earlier`` looks at what
an earlier attempt left in OMERO, ``activity`` whether OMERO is still at it, and ``leftovers``
deletes such things later.  ``in_hand`` knows what the threads are at, so that none of it is
left between two states.  ``blame`` says which fileset rests after a failure, and
whether the fault is in it.  ``methods`` says how the files of a rule are imported, ``importers`` do
it.  ``pool`` shares sessions, ``pace`` says how many imports run at a time, ``slots`` and
``turns`` whose turn it is, ``crew`` how many threads that takes.  ``outage`` waits for an OMERO
that is away, ``beginning`` says whether it is still starting.  ``quarantine`` takes files that
failed, and ``moving`` moves them.  ``crossing`` moves a store to another disk: ``carrying`` copies
it, ``comparing`` knows whether two are the same, ``removing`` removes one.  ``copying`` has the
bytes of one file, and ``alone`` keeps two processes apart.  ``recovery`` mends a journal that was
lost.  ``stores`` has the files of a directory that is one image.  ``visible`` says whether another
machine than DropBox's sees a file.
"""
