"""Untrusted text without control sequences, for a terminal, a log or an error message.

An escape sequence in a reply could set a terminal's title, fill its clipboard or clear the screen,
and a bidi control could show a line in another order. All of these are removed; the result is
text, ``\\n`` and ``\\t``.

Sequences are those of ECMA-48 as terminals read them:

* CSI, ``ESC [`` or U+009B: parameters, intermediates, one final character;
* strings, ``ESC ]``, ``ESC P``, ``ESC X``, ``ESC ^``, ``ESC _`` or their C1 twins: a body that
  ends with ``ESC \\``, U+009C or BEL;
* all others: ``ESC``, intermediates, one final character.

After `BODY_LIMIT` characters, or at a line end or another control character, a string without an
end is text: only its introducer is removed, so that no sequence can hide the rest of a reply. Each
ESC and each C1 character is consumed by one match, so a removal cannot create a new sequence.
"""

from __future__ import annotations

import re
import sys

BODY_LIMIT = 1000
"""The longest string of an escape sequence, in characters; a longer one is text."""

_BODY = rf"[^\x00-\x1f\x7f-\x9f]{{0,{BODY_LIMIT}}}"
_CSI = r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,16}"
_STRING = rf"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]){_BODY}"
_ESCAPE = r"\x1b[ -/]{0,16}"
_HIGH, _LOW = r"[\ud800-\udbff]", r"[\udc00-\udfff]"
_HARMFUL = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the characters with Bidi_Control
    r"\ud800-\udfff]"  # surrogates, as a JSON escape can make them
)
_WHOLE = rf"(?P<newline>\r\n?)|{_CSI}[@-~]|{_STRING}(?:\x07|\x1b\\|\x9c)"
_CUT = rf"(?P<cut>(?:\r|{_CSI}|{_STRING}\x1b?|{_ESCAPE}|{_HIGH})\Z)"
_REST = rf"{_ESCAPE}[0-~]|(?P<pair>{_HIGH}{_LOW})|(?P<half>[\ud800-\udfff])|{_HARMFUL}"

_SCHEME = re.compile(r"(?i)(?:\bdata:|(?<!http)(?<!https):(?=//))(?=\S)")

_harmful = re.compile(_HARMFUL)
_at_end = re.compile(f"{_WHOLE}|{_REST}")
_on_the_way = re.compile(f"{_CUT}|{_WHOLE}|{_REST}")


def strip_control_sequences(text: str) -> str:
    """Return ``text`` without control characters, escape sequences and bidi controls.

    ``\\r\\n`` and a lone ``\\r`` become ``\\n``; an unpaired surrogate becomes U+FFFD.
    """
    if text.isprintable() or not _harmful.search(text):
        return text
    return _at_end.sub(_replacement, text)


def unlinked(text: str) -> str:
    """Return ``text`` with a space in addresses that are neither http nor https.

    Front ends make links of all addresses in the text of an error, ``file:`` and ``data:``
    included.
    """
    return _SCHEME.sub(r"\g<0> ", text)


def printable(text: str) -> str:
    """Return ``text`` with ``?`` for the characters that the standard output cannot encode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        return text.encode(encoding, "replace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "replace").decode()


class ControlSequenceFilter:
    """`strip_control_sequences` for text that arrives in pieces.

    The results of `feed` and `close` joined are `strip_control_sequences` of the whole. Only what
    may be the beginning of a sequence is held back.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """The harmless text so far that was not returned before."""
        text = self._held + piece
        self._held = ""
        if text.isprintable() or not _harmful.search(text):
            return text
        return _on_the_way.sub(self._replace_or_hold, text)

    def close(self) -> str:
        """The text that was held back."""
        text, self._held = self._held, ""
        return strip_control_sequences(text)

    def _replace_or_hold(self, match: re.Match[str]) -> str:
        if match.lastgroup == "cut":
            self._held = match.group()
            return ""
        return _replacement(match)


def _replacement(match: re.Match[str]) -> str:
    found = match.group()
    if match.lastgroup == "newline":
        return "\n"
    if match.lastgroup == "pair":
        return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    if match.lastgroup == "half":
        return "\ufffd"
    return ""
