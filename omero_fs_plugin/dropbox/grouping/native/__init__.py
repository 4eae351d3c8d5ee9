"""Grouping without Java: by signatures, OME-XML and a few headers.

Rule: it never guesses.  It holds the files that it is not sure of.

``grouper`` answers.  ``signatures`` and ``tiff_kinds`` know a file's format, ``ome_sets`` and
``headers`` know which files it names, ``neighbours`` knows sets that only Bio-Formats can group.
"""
