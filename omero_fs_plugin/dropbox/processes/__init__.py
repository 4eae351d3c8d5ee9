"""Processes that DropBox starts: those that read users' files, Java, and an admin's command.

A new process begins as a copy of the one that starts it, and the kernel closes the copy's files one
by one.  If one of these files lies on a share that does not answer, the close waits for the share,
and with it the whole of the process that starts: in CPython no other thread runs meanwhile.
DropBox always has files of users open.  So it has a process that opens none of them, and that
starts all others.  A second one starts those that read users' files with our own parsers.  They are
copies of it, because a new Python would import for longer than it reads.  It never hears of a key
or a password, so no copy has one in its memory.

An ``order`` says what is to be started.  ``starter`` asks this process, and ``program`` is what it
runs; a command line has no such process, and starts its ``own``.  ``counted`` counts how many of
the others were Java.
"""
