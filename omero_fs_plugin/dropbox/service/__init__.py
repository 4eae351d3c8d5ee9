"""DropBox as a whole, from start to stop.

Rule: nothing is imported before the lease is ours, and nothing after it is lost.

``service`` runs it, ``parts`` builds what it consists of, ``configuration`` says which settings
hold, ``figures`` is what is told of it.  ``server`` starts it; it uses every room of DropBox.
"""
