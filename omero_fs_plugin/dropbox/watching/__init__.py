"""How DropBox meets files: FSServer tells of some, a rescan finds them all.

Rule: nothing is decided here; what is met goes to ``settling``.

``subscriptions`` has a monitor on FSServer for each rule, ``subscription`` is one; ``rescanner``
knows when the whole tree is looked at, ``rescan`` looks.
"""
