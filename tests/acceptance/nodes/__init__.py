"""`make bench-nodes`: several machines of one grid, each with importers, and blows to all of them.

``network`` is the database in a network of its own, with a link for each machine; ``machines`` is
the grid with its nodes; ``pace`` counts imports, ``blows`` kills and cuts, ``judged`` looks at what
came of it.  The machines are processes of this one, each with a name of its own, so that for
OMERO.fs they are different machines.
"""
