"""From a file that was met to a set of files at rest.

Rule: a set is queued when all of its files are quiet, unchanged and not held by a writer.

``pipeline`` does one step of the whole.  ``meeting`` takes files that are new or have changed.
``resting`` hands on the files that are at rest: ``settle`` knows when that is, ``writers`` who
holds a file open.  ``underway`` has what is known of each file, behind a ``fair`` lock, and
``outside`` asks the disk and OMERO.  ``lots`` says which files are grouped together,
``neighbourhood`` which directories are near each other.  ``groupers`` are the threads that group
the files, ``warmth`` says which of them takes the next ones, ``around`` looks at other files
that their answer names, ``assembly`` says what becomes of each file, ``forming`` makes a set of
files, or says what it waits for, and ``overdue`` has those that stay incomplete too long;
``large`` forms sets of very many files, while others go on.  ``stores`` knows directories that
are one image, ``looks`` looks at those that wait, and ``often`` lets those rest for longer that
change again and again.  ``uncovered`` lets files rest that no rule covers, ``unread`` has those
that could not be read, ``rights`` has them tried again, and ``left_alone`` has what can never be
imported.  ``handover`` does the same for `omero fs import`.
"""
