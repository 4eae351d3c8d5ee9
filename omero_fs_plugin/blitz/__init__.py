"""OMERO.blitz, the server that has users, sessions and filesets, as we ask it.

Rule: whatever it says, or does not, arrives as one of our errors.

``sessions`` are the grid's own and those of users, ``users`` says who may import, ``filesets``
what OMERO has already, ``verdicts`` whose fault an error is.  It uses ``config``.
"""
