"""Disks that may not answer: which calls wait for a disk, and which disks do not answer now.

Rule: a call to a disk that hangs holds up its own root, and nothing else.

``calls`` knows the calls that are under way, by root.  ``lanes`` has a worker for each root.
``trials`` finds out that a disk answers although a call to it is lost.  ``devices`` says which
roots lie on one disk, ``threads`` starts the workers.
"""
