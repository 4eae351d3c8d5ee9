"""A process that reads users' files.  The kernel keeps it from everything else.

Rule: it has no secrets.  It may read the watched directories and its own programs and libraries,
may write into its own scratch directory, and talks only to its parent.

``process`` starts, asks and ends it; ``main`` runs in it.  ``kept`` keeps one for many questions.
``bounds`` says what it may do, by ``landlock``, ``syscalls`` and ``limits``.  ``pulse`` tells the
parent which file it reads, ``frames`` is how the two talk, ``kernel`` says for people what this
kernel can do.
"""
