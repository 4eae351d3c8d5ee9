"""What is known of every file and fileset, on disk, before and after each act.

Rule: the database keeps the rules, not the code around it. A fileset ends with a reason.

``journal`` writes, ``reader`` looks, ``intake`` is how a file comes in, ``forming`` how a set does;
``schema`` and ``states`` say what is allowed, ``records`` are the rows as values, ``database``
opens it, ``lease`` lets one DropBox at a time work. Every room of DropBox may use it; it uses none
of them.
"""
