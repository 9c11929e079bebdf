"""A sentiment for the examples with many prompts, found by counting words."""

from __future__ import annotations

import re
from typing import Literal

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
_NEGATIONS = frozenset(
    "not no never hardly isnt wasnt dont didnt doesnt cannot cant".split()  # noqa: SIM905
)
_SCORES = dict.fromkeys(_GOOD.split(), 1) | dict.fromkeys(_BAD.split(), -1)


def sentiment(text: str) -> Literal["positive", "negative", "neutral"]:
    """Count good words against bad ones; a negation up to three words before inverts a word."""
    words = re.findall(r"[a-z]+", re.sub("['\u2019]", "", text.lower()))
    total = 0
    for index, word in enumerate(words):
        score = _SCORES.get(word, 0)
        negated = not _NEGATIONS.isdisjoint(words[max(index - 3, 0) : index])
        total += -score if negated else score
    return "positive" if total > 0 else "negative" if total < 0 else "neutral"
