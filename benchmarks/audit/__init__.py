"""What `omero fs audit` asks and keeps in memory, with a stand-in for OMERO that answers it."""
