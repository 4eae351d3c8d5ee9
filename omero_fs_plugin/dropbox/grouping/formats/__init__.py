"""Reads a file's own structure: the directories of a TIFF, OME-XML, and where a file ends.

Rule: it reads bytes and knows nothing of filesets.

``tiff``, ``tiff_chain`` and ``omexml`` do OME-TIFF.  ``ends`` says whether another file is whole,
by ``pictures``, ``volumes``, ``netcdf``, ``containers`` and ``dicom``, which read by ``reading``;
``deflated`` finds the end of compressed data.  ``holes`` finds what is not written yet.
"""
