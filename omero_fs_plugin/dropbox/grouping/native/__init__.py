"""Grouping without Java: by signatures, OME-XML and a few headers.

Rule: what it cannot know it holds; it never guesses.

``grouper`` answers; ``signatures`` and ``tiff_kinds`` know a file's format, ``ome_sets`` and
``headers`` what it names, ``neighbours`` what only Bio-Formats could group.
"""
