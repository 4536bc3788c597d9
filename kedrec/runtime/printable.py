"""Text from outside, made safe to show: a title or a model's answer must not command the reader's terminal."""

import re

# Control characters but tab and line feed, what turns the direction of writing, and halves of a character, which no
# file can hold. A terminal obeys the first, a reader is deceived by the second.
_COMMANDING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return a text with what would command a terminal written out, as JSON writes it: ``\\u001b`` for escape.

    >>> printable("\x1b[31mred")
    '\\u001b[31mred'
    """
    return _COMMANDING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
