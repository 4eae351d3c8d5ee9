"""What an existing site's descriptors say of OMERO.fs, and what becomes of it here.

Rule: it only reads; each line it prints is one that an admin can run.

``former`` reads the descriptors, ``differences`` knows what a property did and does,
``carried`` is the answer.  For `omero fs check --from`.
"""
