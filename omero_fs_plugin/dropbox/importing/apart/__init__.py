"""A process of its own for what needs each file of a large store or set at once.

OMERO takes all files of a fileset in one call, and so their objects, names and SHA1s are in memory
together.  This process has them, for one fileset, and ends.  DropBox itself goes on for months, and
so it never has them: of a store it keeps one digest, of a set the files as `journal.many` packs
them.

Rule: the process decides nothing.  It asks DropBox before OMERO is told to import, before it
deletes anything, and notes nothing in the journal.  So whenever it is killed, or hangs, the attempt
ends as that of a DropBox that was killed there, and OMERO is asked before the next one.

``job`` starts the process, answers it and ends it; ``child`` is what it does; ``wire`` has what the
two say to each other.
"""
