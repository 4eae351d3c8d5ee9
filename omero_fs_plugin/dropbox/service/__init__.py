"""DropBox as a whole, from start to stop.

Rule: nothing is imported before the lease is ours, and nothing after it is lost.

``service`` runs DropBox, ``parts`` builds its parts.  ``configuration`` says which settings are in
force, ``figures`` what `omero fs status` shows.  This room uses every room of DropBox; ``server``
starts it.
"""
