"""Tells people what became of their files, and admins what is wrong with the system.

Rule: a letter lies in the journal before anybody is told, and whoever sends it holds up nothing
else.  It is sent once; only if nobody can know whether it has arrived, it is sent once more.

``postman`` is the thread.  ``spells`` says when somebody is due, ``digest`` what a person is told,
``faults`` what admins are told at once, ``wording`` puts both into words.  ``ways`` sends: ``smtp``
by mail, or to a command or a web address; ``outgoing`` is what they are given.  ``addresses`` asks
OMERO for people's addresses.  ``notes`` writes a text file beside what failed.
"""
