"""DropBox as a whole, from start to stop.

Rule: nothing is imported before the lease is ours, and nothing after it is lost.

``service`` runs DropBox, ``parts`` builds its parts.  ``dispatch`` hands each file to the worker of
its user's directory, and ``hearing`` is how each FSServer tells of them.  ``configuration`` says
which settings are in force, ``figures`` what
`omero fs status` shows, ``showing`` what Prometheus is shown.  ``standby`` compares one that waits
for the lease with the one that has it.  ``awaiting`` runs instead while the
journal cannot be opened.  ``elsewhere`` is importers on another machine, and ``hearsay`` is how
DropBox learns what those leave to it.  ``new_users`` makes users' directories.  This room uses
nearly every room of DropBox; ``server`` and ``importer`` start it.
"""
