"""Secrets taken out of text, however they are spelled, and text made well-formed.

A service, a proxy or a recording can repeat a secret: as it is, or encoded. Known spellings are
those of JSON, Python, URLs, HTML, hexadecimal digits and base64, which spells a text in three ways,
depending on where it begins.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache

SECRET = "[secret]"  # noqa: S105
"""Replaces a secret."""

MIN_LENGTH = 8
"""Characters of the shortest secret that is taken out of replies, and of an encoded spelling."""

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


def contains_secret(text: str, secrets: Iterable[str]) -> bool:
    """Whether ``text`` contains a spelling of one of ``secrets``."""
    found = _search(tuple(secrets))
    return found is not None and found[0].search(text) is not None


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

    Parameters
    ----------
    secrets
        Those with fewer than `MIN_LENGTH` characters are ignored: they would be found in words.
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
        lower = text.lower()
        for begin in range(len(lower)):
            rest = lower[begin:]
            at = bisect_left(forms, rest)
            if at < len(forms) and forms[at].startswith(rest):
                return begin
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
