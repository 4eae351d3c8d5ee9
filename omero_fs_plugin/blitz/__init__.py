"""Asks OMERO.blitz, the server that has users, sessions and filesets.

Rule: each of its errors, and its silence, becomes one of our errors.

``sessions`` asks by the grid's own session, which ``connection`` keeps, and opens those of users:
``user_session`` is one of them.  ``users`` says who may import, ``filesets`` what OMERO has
already, ``publications`` keeps users' documents there, ``copies`` says whether OMERO's copy of a
file is whole, and ``verdicts`` whose fault an error is.  ``inventory`` goes through all that OMERO
has, for an audit.  It uses ``config``.
"""
