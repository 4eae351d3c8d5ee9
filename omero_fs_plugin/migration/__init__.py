"""Carries the OMERO.fs properties of an existing site over to this release.

Rule: it only reads.  An admin can run each line that it prints.

``former`` reads the site's descriptors, ``differences`` knows what a property did there and does
here, ``carried`` gives the answer.  `omero fs check --from` uses it.
"""
