"""A small stand-in for an OMERO server, to try OMERO.fs and to test it against.

Rule: it is as strict as OMERO, even where this makes our tests fail.  Wherever people see it,
it says that it is a sandbox.

Only its own command and the tests use it.  It knows OMERO's API and the descriptors of
``deployment``.  It does not know FSServer and DropBox.
"""
