"""A small stand-in for an OMERO server, to try OMERO.fs and to test it against.

Rule: it is as strict as OMERO, and never lenient to please us.  It says what it is
wherever it shows.

Only its own command and the tests use it.  It knows OMERO's API and the descriptors of
``deployment``; of FSServer and DropBox it knows nothing.
"""
