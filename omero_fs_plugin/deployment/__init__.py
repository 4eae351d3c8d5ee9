"""One OMERODIR on disk: its grid descriptors, and who set which property there.

Rule: an admin's own text survives.  A file that is not understood is refused and not changed.

``descriptor`` merges our fragment and takes it out again.  ``document`` is one descriptor,
``installation`` has the files of one OMERODIR, ``node_descriptors`` says which servers run where,
``sources`` says who set a property.  Commands, checks, ``site``, ``migration`` and ``sandbox`` use
this room; it uses ``config``.
"""
