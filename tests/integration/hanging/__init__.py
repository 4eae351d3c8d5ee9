"""A file system that can stop answering, like a share with its server or network away.

``share`` is what a test holds: it mounts a directory over another place, and lets it hang, answer
again, fail or be slow.  ``server`` is the process behind the mount, ``passthrough`` does what is
asked on the real directory, ``wire`` is the kernel's protocol.  ``alone`` runs a module of tests in
a mount namespace of its own, where nothing that it mounts is seen or left behind.

Rule: whoever waits for a hung share is let go when the test ends, however it ends.  The server ends
as soon as its test has, and with it the connection; the kernel then gives every caller ENOTCONN.
"""
