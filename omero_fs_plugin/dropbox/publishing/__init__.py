"""Keeps for each user a document in OMERO: what became of the user's files.

Rule: it delays nothing.  It writes a document only when that has changed, and replaces it.

``publisher`` is the thread that writes.  ``document`` is what is written, and how it is read.
``ration`` keeps that thread from taking CPU time from imports.
``heartbeat`` is the sign of life.  ``requests`` are what a user asks for, and ``answers`` does it.
``checked`` is what `omero fs check` found.  ``written`` reads what any of them wrote.
"""
