"""What becomes of users' files once OMERO has them (omero.fs.afterImport).

Rule: nothing is touched that was not proved to be in OMERO just before, and then only those bytes.
A set goes as a whole.  Whatever is in doubt stays where it is, and the log and the report say so.

``caretaker`` is the thread: it finds what is due, and asks OMERO.  ``leaving`` proves, moves and
deletes the files of one fileset, in the lane of their root; ``shelf`` is where moved files go.
``emptied`` removes directories that have nothing in them any more.
"""
