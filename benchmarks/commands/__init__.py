"""How long each `omero fs` command takes, beside `omero version`."""
