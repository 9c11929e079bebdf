"""Numbers, dates and yes or no as people and models write them, in English and Hindi.

Each function returns the value in the form that JSON has for it; a text that it cannot read with
certainty is returned unchanged, and does not pass the validation that follows.
"""

from __future__ import annotations

import math
import re
import unicodedata
from decimal import Decimal
from typing import Any

from aeron_magic.plaintext import VISIBLE

MAX_LENGTH = 80
"""Characters of a text that can be a number or a date."""

MAX_INT = 2**63 - 1
"""The largest whole number of a column; those up to it are read with all their digits."""

_CURRENCY = r"(?:₹|rs\.?|inr|rupees?|रुपये|रुपए|रुपया|रु\.?|\$|usd|€|eur|£|gbp)"
_UNITS = {
    "hundred|सौ": 100,
    "k|thousand|हजार|hazaar|hazar": 1_000,
    "lakhs?|lacs?|लाख": 100_000,
    "crores?|करोड": 10_000_000,
    "mn|million": 1_000_000,
    "bn|billion": 1_000_000_000,
}
_DIGITS = r"[1-9]\d{0,2}(?:,\d{3})++|[1-9]\d?(?:,\d{2})+,\d{3}|\d++"  # 0,500 is a half
_NUMBER = re.compile(
    rf"(?P<sign>[+-]?)\s*+(?P<before>{_CURRENCY}\s*+(?P<inner>[+-]?)\s*+)?"
    rf"(?P<number>(?:{_DIGITS})(?:\.\d++)?(?:e[+-]?\d{{1,3}})?)\s*+"
    rf"(?P<unit>(?:{'|'.join(_UNITS)})\s*+)?(?P<after>{_CURRENCY}\s*+)?(?P<rupees>/-)?"
)
_THOUSANDS = re.compile(r"[1-9]\d{0,2}\.\d{3}")
"""Perhaps thousands, as in many languages: €1.234, or 1.000 as a whole number."""
_MONTHS = (
    "jan|january|जनवरी",
    "feb|february|फरवरी",
    "mar|march|मार्च",
    "apr|april|अप्रैल",
    "may|मई",
    "jun|june|जून",
    "jul|july|जुलाई",
    "aug|august|अगस्त",
    "sep|sept|september|सितंबर|सितम्बर",
    "oct|october|अक्टूबर|अक्तूबर",
    "nov|november|नवंबर|नवम्बर",
    "dec|december|दिसंबर|दिसम्बर",
)
_NAMED_DATE = re.compile(
    r"(?P<day>\d{1,2})(?:st|nd|rd|th)?[ -]+(?P<month>[^\W\d]\S*?)\.?,?[ -]+(?P<year>\d{4})"
    r"|(?P<month2>[^\W\d]\S*?)\.? +(?P<day2>\d{1,2})(?:st|nd|rd|th)?,? +(?P<year2>\d{4})"
)
_YES: tuple[str, ...] = ("yes", "y", "true", "haan", "haa", "ji", "हाँ", "हां", "जी", "सही")
_YES += ("ji haan", "haan ji", "जी हाँ", "जी हां", "हाँ जी", "हां जी")
_NO: tuple[str, ...] = ("no", "n", "false", "nahi", "nahin", "नहीं", "नही", "ना", "गलत")
_NO += ("ji nahi", "nahi ji", "जी नहीं", "नहीं जी")


def _plain(text: str) -> str:
    """``text`` in lower case, with ASCII digits, minus and hyphen, and no Devanagari dots below."""
    text = re.sub("[\u2010\u2011\u2212]", "-", unicodedata.normalize("NFC", text))
    text = text.replace("\u093c", "")
    digits = (str(unicodedata.decimal(one, one)) for one in text)
    return "".join(digits).strip().casefold()


def read_number(value: Any, *, whole: bool = False) -> Any:
    """``₹1,20,000``, ``1.2 lakh``, ``Rs. 500/-``, ``५००`` as a number.

    ``whole``: whether a whole number is expected, in which a point may separate thousands.
    """
    match = None
    if isinstance(value, str) and len(value) <= MAX_LENGTH:
        match = _NUMBER.fullmatch(_plain(value))
    if not match or (match["sign"] and match["inner"]) or (match["before"] and match["after"]):
        return value
    unit = (match["unit"] or "").strip()
    whole = whole or any(match[one] for one in ("before", "after", "rupees"))
    if whole and not unit and _THOUSANDS.fullmatch(match["number"]):
        return value
    number = Decimal(match["number"].replace(",", ""))
    factor = next((by for names, by in _UNITS.items() if re.fullmatch(names, unit)), 1)
    number *= -factor if "-" in (match["sign"], match["inner"]) else factor
    digits = "e" not in match["number"] or abs(number) <= MAX_INT
    if digits and number == number.to_integral_value():
        return int(number)
    return value if loses_digits(number) else float(number)


def loses_digits(number: Decimal) -> bool:
    """Whether a float is another number: of a larger one it has no more than 15 to 17 digits."""
    kept = float(number)
    if abs(kept) < 2**53:
        return not kept and number != 0
    return math.isfinite(kept) and Decimal(repr(kept)) != number


def read_int(value: Any) -> Any:
    """As :func:`read_number`; ``12.0`` is 12, unless a float does not have all its digits."""
    number = read_number(value, whole=True)
    exact = isinstance(number, float) and abs(number) < 2**53 and number.is_integer()
    return int(number) if exact else number


def read_bool(value: Any) -> Any:
    """Yes and no in words."""
    word = _plain(value).rstrip(".!।") if isinstance(value, str) else ""
    return True if word in map(_plain, _YES) else False if word in map(_plain, _NO) else value


def read_date(value: Any) -> Any:
    """``21/11/2026``, ``21 Nov 2026``, ``२१ नवंबर २०२६`` as ``2026-11-21``.

    ``05/06/2026`` is read as the fifth of June in India and as the sixth of May in the USA, so it
    is not read at all.
    """
    if not isinstance(value, str) or len(value) > MAX_LENGTH:
        return value
    text = _plain(value)
    if match := re.fullmatch(
        r"(\d{4})([/.-])(\d{1,2})\2(\d{1,2})(?:[t ]00:00(?::00(?:\.0+)?)?)?", text
    ):
        return f"{match[1]}-{int(match[3]):02}-{int(match[4]):02}"
    if match := re.fullmatch(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})", text):
        first, second = int(match[1]), int(match[3])
        if first <= 12 and second <= 12 and first != second:
            return value
        return f"{match[4]}-{min(first, second):02}-{max(first, second):02}"
    if match := _NAMED_DATE.fullmatch(text):
        name, day, year = (match[one] or match[f"{one}2"] for one in ("month", "day", "year"))
        for month, names in enumerate(_MONTHS, 1):
            if name in map(_plain, names.split("|")):
                return f"{year}-{month:02}-{int(day):02}"
    return value


def read_text(value: Any) -> Any:
    """A whole number, such as an order's, as text; one without a visible character as nothing."""
    if isinstance(value, str):
        return value if VISIBLE.search(value) else ""
    return str(value) if type(value) is int else value
