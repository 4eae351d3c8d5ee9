"""Shows a server's metrics to Prometheus: in a file, over HTTP, or both (omero.fs.metrics).

Rule: nothing else in the server waits for a program that reads them, nor for the disk of the file.

``publisher`` collects.  ``textfile`` writes the text to a file for node_exporter, ``page`` answers
over HTTP; each says what keeps it from doing so.
"""
