"""Why a call over Ice had no answer, in words for people.

Ice tells it by the type of an exception.  Its documentation says when each is raised:
"Run-Time Exceptions" in the manual of Ice 3.6.
"""

from __future__ import annotations

import Ice

# The first row that fits counts, so a subclass stands above what it is derived from.
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (Ice.ConnectionRefusedException, "nobody listens there"),
    (Ice.DNSException, "that name is no host in the network"),
    (Ice.ConnectTimeoutException, "the machine does not answer"),
    (Ice.TimeoutException, "no answer within the time"),
    (Ice.NoEndpointException, "the grid knows no address of it"),
    (Ice.NotRegisteredException, "the grid does not know it"),
    (Ice.RequestFailedException, "somebody else listens there"),
    (Ice.ConnectFailedException, "the network does not reach it"),
    (Ice.ConnectionLostException, "the connection was cut"),
    (Ice.CloseConnectionException, "it is being stopped"),
    (Ice.ForcedCloseConnectionException, "the connection was closed"),
    (Ice.SocketException, "the network failed"),
    (Ice.SecurityException, "the two sides do not agree on TLS"),
    (Ice.MemoryLimitException, "the message is larger than Ice.MessageSizeMax"),
    (Ice.ProtocolException, "what answers there does not speak Ice"),
    (Ice.CommunicatorDestroyedException, "this program is ending"),
    (Ice.FileException, "the file cannot be read"),
    (Ice.UnknownException, "it failed on its side"),
)


def why_unanswered(error: BaseException) -> str:
    """Words for an exception of Ice.  The name of its type, if there are none for it."""
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    return type(error).__name__
