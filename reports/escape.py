"""What every format does to text before its own escaping: nothing in it may steer a terminal or hide from the eye."""

import re

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, the terminal's escape among them
    "\u2028\u2029"  # line separators
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls: they show a text in another order
    "\ud800-\udfff\ufffe\uffff]"  # not characters
)


def clean(text: str) -> str:
    """The text on one line: runs of white space become one space, unsafe characters the replacement character."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", " ".join(re.split(r"[ \t\r\n\v\f]+", text)))
