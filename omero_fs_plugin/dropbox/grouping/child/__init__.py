"""A process that reads users' files, and what the kernel keeps it from.

Rule: it has no secrets, may read the watched directories and what it runs on, may write into its
own scratch directory, and talks to nobody but its parent.

``process`` starts, asks and ends it; ``main`` is what runs in it.  ``bounds`` says what it may do,
by ``landlock``, ``syscalls`` and ``limits``.  ``pulse`` tells the parent what is being read,
``frames`` is how the two talk, ``kernel`` says for people what this kernel can do.
"""
