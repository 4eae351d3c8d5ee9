"""Asks OMERO.blitz, the server that has users, sessions and filesets.

Rule: each of its errors, and its silence, becomes one of our errors.

``sessions`` opens the grid's own session and those of users.  ``users`` says who may import,
``filesets`` what OMERO has already, ``publications`` keeps users' documents there, ``copies``
whether OMERO's copy of a file is whole, and ``verdicts`` whose fault an error is.  ``inventory``
goes through all that OMERO has, for an audit.  It uses ``config``.
"""
