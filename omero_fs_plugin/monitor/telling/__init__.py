"""What the client hears: in order, one notification at a time, until it answers.

Rule: no client waits for another, and none is given up before its time.

``telling`` is the conversation, ``outbox`` what waits, ``absence`` how long a client has been away,
``keeper`` writes into ``record`` what the client has heard.
"""
