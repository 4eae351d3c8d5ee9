"""What is known of every file and fileset, on disk, before and after each act.

Rule: the database enforces the rules, not the code around it.  A fileset ends with a reason.

``journal`` is all of it.  ``reader`` reads: ``rows`` the rows themselves, ``sameness`` what is the
same as what, ``queue`` what is to be done, ``history`` what happened.  ``waiting``, ``attempting``
and ``by_hand`` write, one for each part of a fileset's way, by ``writer``.  ``intake`` takes files
in, ``forming`` makes sets of them, unless another set is ``surrounding`` these.  A large set comes
together by ``gathering``, comes apart by ``parting`` and fails by ``ending``: in parts.
``vaulting`` writes where the files of failed ones lie, in the notes of ``moves``, ``uniting`` makes
one of two that are the same, and ``recalling`` records what OMERO has already.  ``outbox`` keeps
what people are to be told, ``afterwards`` what becomes of imported files, in the words of
``fates``.

``schema`` has the tables, ``states`` and ``rules`` say what is allowed, ``statistics`` which index
SQLite should take, and ``migrations`` bring the journal of an older release to this one.
``database`` opens it by one of the ``engines``.  ``order`` says which of a queue comes first,
``records`` has the rows as values, ``many`` those of very many files, ``statements`` what every
import asks and writes.  ``lease`` lets one DropBox at a time work, and ``keeper`` renews the lease;
``elapsed`` has the clock that nobody sets, ``clocks`` the one that all machines go by.  ``nodes``
has the importers of other machines and their claims, ``rounds`` renews those and watches the
others.  ``copying`` carries all of it into another database.  ``words`` says what happened in plain
words, ``story`` writes that into the log.

``glance`` is a short look at the journal for people, ``seen`` has what it gives as values, and
``plain`` opens the database for it.  ``file`` knows where a SQLite journal lies.

Every room of DropBox may use this room; it uses none of them.
"""
