"""Untrusted text: without control sequences, without secrets, and well-formed.

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

A service, a proxy or a recording can repeat a secret, as it is or encoded. Known spellings are
those of JSON, Python, URLs, HTML, hexadecimal digits and base64, which spells a text in three ways,
depending on where it begins.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache

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

VISIBLE = re.compile(
    r"[^\s\x00-\x1f\x7f-\xa0\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u2800\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    r"\U000e0000-\U000e0fff]"
)
"""Finds a character that is seen: no white space, control, format character or filler."""

_JOINERS = {0x200C: None, 0x200D: None}

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


def is_name(text: str) -> bool:
    """Whether ``text`` can be a name: it is visible, on one line, and hides nothing.

    Joiners are a part of the spelling of words in Hindi or Persian, and of emoji.
    """
    return text.translate(_JOINERS).isprintable() and VISIBLE.search(text) is not None


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


SECRET = "[secret]"  # noqa: S105
"""Replaces a secret."""

MIN_LENGTH = 8
"""Characters of the shortest secret that is taken out of replies, and of an encoded spelling."""

_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}

PARTIAL_LENGTH = 6
"""Characters of the beginning of a secret, at the end of a text, that are taken out, too."""


@lru_cache(maxsize=64)
def spellings(secret: str) -> frozenset[str]:
    """The spellings of ``secret``; upper and lower case are the same to the functions here.

    Encoded ones have at least `MIN_LENGTH` characters.
    """
    import html
    import json
    from base64 import b64encode
    from urllib.parse import quote, quote_plus

    raw = secret.encode(errors="surrogatepass")
    found = {
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        html.escape(secret),
    }
    encoded = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    encoded |= {raw.hex(), raw.hex(" "), raw.hex(":")}
    for form in ("%{:02x}", r"\u{:04x}", r"\x{:02x}", "&#x{:x};", "&#{};"):
        encoded.add("".join(form.format(ord(character)) for character in secret))
    for offset in range(3):
        # A character is six bits: those that also hold bits of a neighbour are left out.
        text = b64encode(bytes(offset) + raw).decode()
        text = text[-(-8 * offset // 6) : 8 * (offset + len(raw)) // 6]
        encoded |= {text, text.translate({43: "-", 47: "_"})}
    return frozenset({secret, *found, *(form for form in encoded if len(form) >= MIN_LENGTH)})


@lru_cache(maxsize=16)
def _search(secrets: tuple[str, ...]) -> tuple[re.Pattern[str], list[str]] | None:
    """A pattern for all spellings, and these in lower case, sorted; None if there are none."""
    forms = sorted({form.lower() for secret in filter(None, secrets) for form in spellings(secret)})
    if not forms:
        return None
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE | re.ASCII), forms


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` with every spelling of ``secrets`` replaced by `SECRET`."""
    found = _search(tuple(secrets))
    return found[0].sub(SECRET, text) if found is not None else text


def secret_pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern that finds every spelling of ``secrets``; None if there are none."""
    found = _search(tuple(secrets))
    return found[0] if found is not None else None


def well_formed(text: str) -> str:
    """Return ``text`` with surrogate pairs joined, and U+FFFD for a surrogate without its other
    half, so that it can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class TextFilter:
    """Takes secrets out of a text that arrives in pieces, and makes it well-formed.

    What may be the beginning of a secret, or the first half of a surrogate pair, is held back.

    * ``secrets``: those with fewer than `MIN_LENGTH` characters are ignored: they would be found in
      words.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._search = _search(tuple(one for one in secrets if len(one) >= MIN_LENGTH))
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text that is final now."""
        if not piece:
            return ""
        text, half = self._held + piece, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, half = text[:-1], text[-1]
        text = self.clean(text)
        end = len(text) if self._search is None or half else self._begun(text, self._search[1])
        self._held = text[end:] + half
        return text[:end]

    @staticmethod
    def _begun(text: str, forms: list[str]) -> int:
        """The position from which on ``text`` may be the beginning of one of ``forms``."""
        longest = max(map(len, forms))
        tail = text[-longest:].translate(_LOWER)
        for begin in range(len(tail)):
            rest = tail[begin:]
            at = bisect_left(forms, rest)
            if at < len(forms) and forms[at].startswith(rest):
                return len(text) - len(rest)
        return len(text)

    @property
    def rest(self) -> str:
        """The text that is held back, as it is if nothing follows."""
        partial = self._search is not None and len(self._held) >= PARTIAL_LENGTH
        return SECRET if partial else well_formed(self._held)

    def clean(self, text: str) -> str:
        """The whole of a text, independent of the pieces."""
        text = well_formed(text)
        return text if self._search is None else self._search[0].sub(SECRET, text)
