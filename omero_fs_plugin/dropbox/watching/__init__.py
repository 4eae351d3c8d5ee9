"""How DropBox meets files: FSServer tells it of some, and a rescan finds all of them.

Rule: this room decides nothing.  It gives the files that it meets to ``settling``.

``subscriptions`` keeps a monitor on FSServer for each rule, ``subscription`` is one of them.
``fsserver`` is one FSServer, of which each node may have its own.
``alike`` tells whether FSServer sees the same directories, and ``unseen`` looks for files that only
FSServer sees.
``rescanner`` knows when to look at the whole tree, ``owners`` at which directories and whose they
are, and ``rescan`` looks.  ``rounds`` looks at many directories, a few at a time.
"""
