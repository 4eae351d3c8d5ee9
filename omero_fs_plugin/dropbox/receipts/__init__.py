"""Whether a file may be deleted: OMERO has its bytes, and has them whole.

Rule: nothing counts as safe that was not compared just now, on both sides.

``proof`` compares files with what OMERO has.
"""
