"""The omero.fs.* properties: their table, their syntax, and the settings read from them.

Rule: a property's name, default, kind and error text are here and nowhere else.

``properties`` is the table.  ``kinds`` and ``lists`` are its syntax, ``after_import``,
``layout``, ``nodes``, ``outlets``, ``path_map`` and ``schedule`` that of one or two properties.
``settings`` has the values that the servers use, ``parsing`` makes them, ``changes`` compares
them.  ``readers`` reads the file of omero.fs.readers, ``mail`` what OMERO says of its mail.
Every room may use this one.
It uses only the words that both servers share.
"""
