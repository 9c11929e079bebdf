"""Good, bad or neither: enough to make the sandbox's examples with many prompts look alive."""

from __future__ import annotations

import re

from .intent import text_for

__all__ = ["labelled", "sentiment"]

_GOOD = """
    good great excellent amazing awesome fantastic wonderful perfect love loved lovely like liked
    enjoy enjoyed happy pleased satisfied nice best better fast quick friendly helpful recommend
    recommended beautiful comfortable reliable delicious superb brilliant impressed impressive easy
    fun sturdy solid worth thanks thank pleasant fine outstanding glad delighted works charming
"""
_BAD = """
    bad terrible awful horrible poor worst worse hate hated dislike disliked disappointed
    disappointing disappointment broken broke breaks slow late rude useless waste refund return
    returned sad angry annoying annoyed ugly uncomfortable unreliable expensive overpriced dirty
    noisy cheap flimsy boring difficult hard problem problems fails failed fault faulty defective
    never missing wrong unhappy unfriendly cold leaks stopped regret avoid scratched damaged
"""
_NOT = {
    "not",
    "no",
    "never",
    "hardly",
    "isnt",
    "wasnt",
    "dont",
    "didnt",
    "doesnt",
    "cannot",
    "cant",
}
_SCORES = dict.fromkeys(_GOOD.split(), 1) | dict.fromkeys(_BAD.split(), -1)

_TASK = re.compile(
    r"\b(?:sentiment|positive,? (?:or )?negative(?:,? (?:or|and)? ?neutral)?|classify)\b",
    re.IGNORECASE,
)
_HOW_TO = re.compile(r"^\W*(?:how|can|could|where|why|which|what (?:does|if))\b", re.IGNORECASE)


def labelled(question: str) -> str | None:
    """The text a question wants the sentiment of; None if it wants something else.

    Parameters
    ----------
    question
        Such as ``Classify the sentiment: I love it``; the text stands behind a colon, on lines
        of its own, or in quotation marks.
    """
    given = None if _HOW_TO.match(question) else text_for(_TASK, question)
    return given and given[1]


def sentiment(text: str) -> str:
    """``positive``, ``negative`` or ``neutral``, by counting words."""
    words = re.findall(r"[a-z]+", text.lower().replace("'", "").replace("\u2019", ""))
    total = 0
    for index, word in enumerate(words):
        score = _SCORES.get(word, 0)
        if score and set(words[max(index - 3, 0) : index]) & _NOT:
            score = -score
        total += score
    return "positive" if total > 0 else "negative" if total < 0 else "neutral"
