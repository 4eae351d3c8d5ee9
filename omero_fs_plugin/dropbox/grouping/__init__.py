"""Which files belong together, and whether a set of them is whole.

Rule: it reads files that users wrote and does not trust them: every path is confined, every
read has a limit, and all of it is done in processes that the kernel keeps from anything else.

``filesets`` has the words.  ``bioformats`` and ``native`` are two ways of grouping with one
protocol.  ``completeness``, ``promises`` and ``userfiles`` say what a set lacks.  ``formats``
reads TIFF and OME-XML.  ``child`` is such a process.  ``confined`` asks our own parsers in one,
``served`` answers there, ``wire`` is what they send; ``opening`` is how a file is opened there.
``halving`` finds the file that nothing can be said of.  This room knows neither the journal nor
OMERO.
"""
