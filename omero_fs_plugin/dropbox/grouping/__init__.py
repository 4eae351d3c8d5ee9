"""Which files belong together, and whether a set of them is whole.

Rule: it reads files that users wrote, and does not trust them.  Every path is confined, every
read has a limit, and all of it happens in processes that the kernel keeps from anything else.

``filesets`` has the words. ``bioformats`` and ``native`` are two ways of grouping with one
protocol. ``completeness``, ``promises`` and ``userfiles`` say what a set lacks, ``keeping`` what
waits with it, ``folders`` which directories are a part of one image. ``formats`` reads TIFF and
OME-XML, and finds the end of other files. ``child`` is such a process. ``confined`` asks our own
parsers in one, ``served`` answers there, ``wire`` is what they send; ``opening`` opens a file
there. ``zarr``, ``zarr_files`` and ``zarr_chunks`` say what an OME-Zarr lacks. ``halving`` finds
the file for which there is no answer. This room does not know the journal or OMERO.
"""
