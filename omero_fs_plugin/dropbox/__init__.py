"""DropBox: imports what users copy into their directories, each file exactly once.

Rule: the disk and the journal are the truth.  It never imports FSServer: the two meet over Ice.

The rooms are in the order of a file's way: ``watching`` meets it, ``settling`` waits until it is at
rest, ``grouping`` finds the files that belong together, ``journal`` remembers them, ``importing``
brings them to OMERO, ``targets`` says where they go.  ``service`` starts and stops everything.
``places`` and ``users`` know which user a file belongs to, ``confine`` opens it, ``disks`` knows
which disks do not answer, ``processes`` starts other processes.  ``userdirs`` compares users'
directories with OMERO's users.  ``receipts`` proves that a file is in OMERO, ``audit`` compares
disk, journal and OMERO for a whole site, ``situation`` says in
words how a fileset stands, ``letters`` tells people, ``afterwards`` moves or deletes imported
files.  ``publishing`` keeps a document in OMERO for each user.  ``metrics`` counts for Prometheus.
``server`` is DropBox under IceGrid, ``importer`` is DropBoxImporter: importers on another machine.
"""
