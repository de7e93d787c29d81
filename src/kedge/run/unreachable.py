"""Whether what code said of its failure looks like a network that is not there.

Read from its words: whatever language it is written in, and however often it has wrapped the error.
"""

import re
from typing import Final

NETWORK_IS_OFF: Final = (
    "it ran without a network: `network: true` in the manifest, --network or network=True allows it"
)

# What the C library, Python, curl, apt, Go, Node and requests say of it.
_WORDS: Final = re.compile(
    r"gaierror|name ?resolution|name or service not known|name does not resolve|lookup .* on .*:53"
    r"|(?:could not|couldn't|unable to|failed to) resolve|failure resolving|\beai_again\b|\benotfound\b"
    r"|no address associated with hostname|failed to establish a new connection"
    r"|network is (?:unreachable|down)|no route to host|errno (?:101|100|113|-2|-3)\b",
    re.IGNORECASE,
)
# Without namespaces the call itself is refused, which a traceback shows to be one for a connection.
_REFUSED: Final = re.compile(
    r'^ *File "[^"\n]*\bsocket\.py", line .*\n(?:(?! *File ) .*\n)*PermissionError: \[Errno \d+\]',
    re.MULTILINE,
)


def looks_unreachable(said: str) -> bool:
    """Whether an error's text, or its traceback's, speaks of names or machines out of reach.

    >>> looks_unreachable("socket.gaierror: [Errno -3] Temporary failure in name resolution")
    True
    >>> looks_unreachable("FileNotFoundError: [Errno 2] No such file or directory: 'hosts'")
    False
    """
    return bool(_WORDS.search(said) or _REFUSED.search(said))
