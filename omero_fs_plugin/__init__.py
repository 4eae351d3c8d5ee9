"""OMERO.fs: a file-system monitor and an automatic importer for OMERO.

Two servers, one pipeline::

    FSServer (monitor/)             DropBox (dropbox/)
    watch -> filter -> notify  ==>  settle -> group -> journal -> import -> report

Events are hints; the disk and the journal are the truth.
"""

__version__ = "0.1.0"
