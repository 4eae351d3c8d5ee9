"""Files that are whole and yet no image."""

# A PNG's first and last bytes, with nothing between.
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0IEND\xaeB`\x82"
