"""What the system says of directories: events, listings, limits.

Rule: nothing here knows what a client was told.

``observers`` chooses between ``inotify``, ``polling`` and ``native``; ``disk`` looks, ``entries``
is what a look shows, ``raw`` has the kernel's words, ``limits`` what inotify allows.
"""
