"""What outlives FSServer: its persistent monitors, and what each client knows.

Rule: the record has only what the client has heard.  What was being told is in a file beside it.

``record`` has the monitors, ``picture`` what one client knows (``pages``: what it knew at the
start, packed), ``sent`` what was being told.
``writer`` is the thread that writes, ``file`` knows the shape of the file.
"""
