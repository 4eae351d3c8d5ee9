"""Grouping by Bio-Formats, as OMERO's own importer does it.

Rule: Java runs in a process of its own.  If that hangs or dies, it costs one file.

``grouper`` answers.  ``process`` starts and ends the process, ``worker`` runs in it.  ``walk`` has
the rules of OMERO's importer, ``jars`` finds Bio-Formats and Java, ``serving`` what reads a store
in OMERO.server.
"""
