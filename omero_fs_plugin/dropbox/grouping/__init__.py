"""Which files belong together, and whether a set of them is whole.

Rule: it reads files that users wrote and does not trust them: every path is confined, and every
read has a limit.

``filesets`` has the words.  ``bioformats`` and ``native`` are two ways of grouping with one
protocol.  ``completeness``, ``promises`` and ``surroundings`` say what a set lacks.  ``formats``
reads TIFF and OME-XML.  This room knows neither the journal nor OMERO.
"""
