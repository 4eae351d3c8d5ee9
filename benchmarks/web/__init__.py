"""`make bench-web`: what open pages My drops ask of OMERO.web and of OMERO."""
