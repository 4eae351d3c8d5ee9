"""DropBox's figures for Prometheus, from the journal and from the running parts.

Rule: what has ended is counted once and then kept, so that no collection looks through the journal.
No file name leaves, and no user's name unless an admin asks for them (omero.fs.metricsUsers).

``tally`` keeps the counts, from the steps that the database writes down.  ``families`` has the
metrics, their names and units, and fills them.
"""
