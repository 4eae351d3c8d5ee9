"""From the queue to OMERO: each fileset once, whole, for the right user.

Rule: an attempt that was interrupted is resolved by asking OMERO, never by guessing.

``workers`` are the importers' threads, ``importing`` is one fileset, ``attempts`` one attempt at
it, ``earlier`` what one before it left or is still doing in OMERO, ``activity`` whether it is,
``leftovers`` what is taken away later; ``ways`` how a rule says it is done, ``importers`` the ways
to do it; ``pool`` shares sessions, ``pace`` says how many at a time, ``quarantine`` takes what
failed, ``recovery`` mends a journal that was lost.
"""
