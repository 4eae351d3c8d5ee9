"""What the system says of directories: events, listings, limits.

Rule: nothing here knows what a client was told.

``observers`` chooses between ``inotify``, ``polling`` and ``native``.  ``disk`` looks at
directories, ``listings`` reads one, ``below`` looks at what is mounted below, and ``answers`` asks
file systems that may not answer.  ``writers`` asks whether anybody has a file open for writing.
``entries`` holds what a look shows, ``raw`` has the kernel's events, ``limits`` says what inotify
allows, and ``held`` who has how much of that.  ``guarded`` keeps users' links out of what another
account has watched.  ``collector`` lets a start do without Python's garbage collector, and makes it
run seldom afterwards.
"""
