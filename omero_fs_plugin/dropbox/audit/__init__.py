"""What disk, journal and OMERO say, compared, for a whole site (`omero fs audit`).

Rule: it changes nothing.  What could not be looked at is told, and is not taken for missing.

``audit`` goes through the parts one after the other: ``filesets`` compares the journal with OMERO
and with OMERO's repository, ``ghosts`` looks for filesets without images, ``strays`` for files that
the journal does not know, ``quarantine`` for those that no fileset has there, ``directories`` for
those of the repository that nothing registers.
``means`` asks OMERO seldom, and each disk in the lane of its root; ``looks`` says what is there.
``findings`` has the words, ``record`` keeps what was found and how far the audit is, and
``registered`` which directories need not be asked for.
"""
