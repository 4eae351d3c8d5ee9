"""What the client hears: in order, one notification at a time, until it answers.

Rule: no client waits for another, and no client is given up before its time.

``gathering`` says how long events are gathered before a look at them, ``terms`` when monitors end,
or tell, because nothing has happened.
``telling`` is the conversation, ``outbox`` has the events that wait, ``absence`` knows how long a
client has been away, ``keeper`` writes into ``record`` what the client has heard.
"""
