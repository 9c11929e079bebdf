"""Splits a question into words for the search."""

from __future__ import annotations

import re

_STOP_WORDS = """
    a about actually aeron aeronmagic all also am an and another any anything are as at be been
    being but by came can cannot could did do does doing done dont else ever explain for from get
    gets getting give go goes going got had happen happened happens has have having he help her
    here him his how i if im in into is isnt it its just kind know let lets like made make makes
    making may maybe me mean means might more most much must my need needs no not now of off on
    once only or other our out own please possible really say seem shall she should show so some
    something still such tell than thank thanks that the their them then there these they thing
    things this those through to too up us use used uses using very want was way ways we well
    were what when where which who why will with work works would yes you your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

_FOLLOW_UP_WORDS = """
    again answer api bit code come continue demonstrate detail details elaborate example examples
    first further last library little look ok okay one plain python reason reply same sample script
    second short simple small snippet snippets topic version
"""
# Words of follow-ups ("a short example, please") that name no topic.
FOLLOW_UP_WORDS = frozenset(_FOLLOW_UP_WORDS.split())

_NOTATION = (
    (re.compile(r"%%\s*aeron"), " cellmagicsign "),
    (re.compile(r"\{\{|\}\}"), " doublebraces "),
    (re.compile(r"(?<![\w-])--?([a-z][a-z-]*)"), r" option\1 \1 "),
    (re.compile(r"n['\u2019]t\b|['\u2019](?:s|re|ve|ll|d|m)\b"), " "),
)


def tokenize(text: str) -> list[str]:
    """The words of a text in lower case, in order.

    * ``text``: prose. ``%%aeron``, double braces and options such as ``--each`` become words, too.
    """
    for pattern, word in _NOTATION:
        text = pattern.sub(word, text)
    return re.findall(r"[a-z0-9]+", text.lower().replace("_", " "))
