"""Disks that may not answer: who waits for one, and which do not answer now.

Rule: a call to a disk holds up what concerns its root, and nothing else.

``calls`` knows the calls that are under way, by root.  ``lanes`` has a worker for each root.
"""
