"""Tests of `dropbox/afterwards`: imported files go, proved and whole."""
