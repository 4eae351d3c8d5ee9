"""Which files belong together, and whether a set of them is whole.

Rule: it reads what users wrote, and believes nothing of it: every path is confined, every read has
a limit.

``filesets`` has the words; ``bioformats`` and ``native`` are two ways of grouping after one
protocol; ``completeness``, ``promises`` and ``surroundings`` say what a set lacks; ``formats``
reads TIFF and OME-XML. It knows neither the journal nor OMERO.
"""
