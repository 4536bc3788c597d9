"""Text from outside made safe to print: a title or an answer must not send control sequences to a terminal."""

import re

# Control characters other than tab and line feed, which a terminal obeys; marks that reverse the direction of writing,
# which deceive a reader; and lone surrogates, which no file can hold.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return a text with unsafe characters escaped as in JSON: ``\\u001b`` for escape.

    >>> printable("\x1b[31mred")
    '\\u001b[31mred'
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
