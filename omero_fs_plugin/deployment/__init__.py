"""One OMERODIR on disk: its grid descriptors, and who set which property there.

Rule: what an admin wrote survives; what is not understood is refused and stays untouched.

``descriptor`` merges our fragment and takes it out again, ``document`` is one descriptor,
``installation`` the files of one OMERODIR, ``node_descriptors`` says which servers run where,
``sources`` who set a property.  For commands and checks; it uses ``config``.
"""
