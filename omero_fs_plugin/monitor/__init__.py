"""FSServer: watches directories, and tells any client of new, changed and deleted files.

Rule: an event is a hint, the disk is the truth.  It never imports DropBox: the two meet over Ice.

From the client down to the kernel: ``servants`` take the calls, ``monitors`` starts and stops each
monitor, ``watcher`` is its thread, ``waits`` how that waits.  ``telling`` is the conversation with
the client, ``record`` outlives a restart, ``tracking`` decides what has changed, ``kernel`` reads
what the system says.
``requests`` has what a client asks for, ``notices`` what it is told, ``access`` says what it may
see, ``guests`` how much of FSServer another account may take, ``files`` shows files to it.
``families`` has its metrics.  ``server`` is FSServer under IceGrid.
"""
