"""From the queue to OMERO: each fileset once, whole, for the right user.

Rule: an attempt that was interrupted is resolved by asking OMERO, never by guessing.

``workers`` are the importers' threads, and ``crew`` says how many are needed.  Idle threads wait
in ``lookout``.  ``taking`` takes filesets from the queue: ``line`` has the users with something in
it, ``turns`` says whose turn it is.  ``load`` says whether one more import may begin, ``pace`` how
many run at a time, ``slots`` whose import is next.  ``runs`` imports what was taken, and
``finishing`` does what an interrupted import left to do.  ``in_hand`` knows which filesets the
threads have, so that none is left between two states.  ``blame`` says which fileset rests after a
failure, and whose fault it was, ``refusals`` how often OMERO may refuse one.  ``tidying`` closes
idle sessions, and looks for leftovers.

``importing`` imports filesets.  ``attempts`` makes one attempt at one of them, ``together`` makes
several in one run of an importer.  ``earlier`` finds and deletes half an upload that an earlier
attempt left in OMERO, ``activity`` tells whether OMERO is still at it, and ``leftovers`` deletes
such things later.  ``duplicates`` says whether OMERO has the content already.  ``methods`` says how
the files of a rule are imported, ``importers`` do it.  ``pool`` shares sessions.  ``stores`` has
the files of a directory that is one image, and ``unfolding`` keeps them in little memory.
``store_importer`` imports such a directory, and what is large in a process of its own, ``apart``.
``outage`` waits for an OMERO that is away, and ``beginning`` says whether it is still starting.
``recovery`` mends a journal that was lost.
``visible`` says whether another machine than DropBox's sees a file.

``quarantine`` takes files that failed to its ``vault``, ``staying`` has those that cannot be moved
now, ``undoing`` undoes a move that cannot go on, ``returning`` brings them back, ``forsaken`` says
what nobody goes on with, ``lying`` what lies where, and ``moving`` moves them.  ``crossing`` moves
a store to another disk: ``carrying`` copies it, ``comparing`` knows whether two are the same,
``removing`` removes one.  ``copying`` has the bytes of one file, and ``alone`` keeps two processes
apart.
"""
