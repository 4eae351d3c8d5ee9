"""What the system's events mean: which file is new, changed or gone.

Rule: pure.  Time, events and the disk are arguments, so tests need no real ones.

``tracker`` decides, with ``arrivals`` (when to tell a file), ``watches`` (what is watched or
polled) and ``comparison`` (the disk compared with ``tree``).  In ``lanes`` each file system has its
turn.  In ``line`` a complete file waits for what came earlier, ``met`` has files whose close may
have gone unseen, ``racy`` those that may be written again and look the same, ``recent`` those
whose next write belongs to a burst, ``exchanges`` names that may have been exchanged, and ``late``
the file systems that do not answer.  ``rescans`` says when all is compared with the disk.
``picture`` has what a client knows.
"""
