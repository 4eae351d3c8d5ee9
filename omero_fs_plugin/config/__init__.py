"""The omero.fs.* properties: their table, their syntax, and the settings read from them.

Rule: a property's name, default, kind and error text stand here and nowhere else.

``properties`` is the table, ``kinds`` and ``lists`` are its syntax, ``settings`` what the servers
go by, ``parsing`` makes them, ``changes`` compares them, ``readers`` is the file of
omero.fs.readers.  Everybody may use it; it uses only the words that both servers share.
"""
