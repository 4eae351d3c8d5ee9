"""The kill -9 campaign: every fileset once, whatever is killed whenever.

``python -m tests.acceptance.torture`` runs it at full size (``make torture``),
``tests/acceptance/test_torture.py`` a short form of it.
"""
