"""Grouping by Bio-Formats, as OMERO's own importer does it.

Rule: Java runs in a process of its own, whose hang or death costs one file.

``grouper`` answers, ``process`` keeps the process, ``worker`` is it, ``walk`` has the importer's
rules, ``jars`` finds Bio-Formats and Java.
"""
