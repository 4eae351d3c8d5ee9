"""Reads a file's own structure: the directories of a TIFF, and OME-XML.

Rule: it reads bytes and knows nothing of filesets.
"""
