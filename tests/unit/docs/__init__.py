"""Tests of README and docs/: the site can be built, and what they say can be done."""
