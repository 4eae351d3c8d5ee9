"""The kill -9 campaign: every fileset is imported once, whichever process is killed, and when.

``python -m tests.acceptance.torture`` runs it at full size (``make torture``),
``tests/acceptance/test_torture.py`` a short form of it.
"""
