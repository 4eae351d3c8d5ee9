"""Compares users' directories with OMERO's users, and makes those that are missing.

Rule: no user and no group is guessed.  What fits none is told, and nothing there is changed.

``directories`` has the findings, and the directories of a layout without groups; ``groups`` has
those of a layout in which a user has one for each group.
"""
