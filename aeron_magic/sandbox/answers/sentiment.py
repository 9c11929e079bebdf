"""A sentiment for the examples with many prompts, found by counting words, also Hindi ones."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

_GOOD = """
    good great excellent amazing awesome fantastic wonderful perfect love loved lovely like liked
    enjoy enjoyed happy pleased satisfied nice best better fast quick friendly helpful recommend
    recommended beautiful comfortable reliable delicious superb brilliant impressed impressive easy
    fun sturdy solid worth thanks thank pleasant fine outstanding glad delighted works charming
    superb joy accha achha acha badhiya badiya mast kamaal khush khushi maza shukriya dhanyavad
    shandar aasan अच्छा अच्छी अच्छे बढ़िया शानदार कमाल खुश खुशी पसंद आसान तेज़ मज़ा धन्यवाद शुक्रिया आभार वाह
"""
_BAD = """
    bad terrible awful horrible poor worst worse hate hated dislike disliked disappointed
    disappointing disappointment broken broke breaks slow late rude useless waste refund return
    returned sad angry annoying annoyed ugly uncomfortable unreliable expensive overpriced dirty
    noisy cheap flimsy boring difficult hard problem problems fails failed fault faulty defective
    never missing wrong unhappy unfriendly cold leaks stopped regret avoid scratched damaged
    failed declined stuck rejected rejects blocked frozen complaint fraud kharab bura galat gussa
    pareshan fail atka atak reject nahi jhooth dhokha shikayat खराब बुरा गलत परेशान फेल असफल अटका
    रिजेक्ट नहीं झूठ धोखा शिकायत धीमा चोरी
"""
_NEGATIONS = frozenset(
    "not no never hardly isnt wasnt dont didnt doesnt cannot cant".split()  # noqa: SIM905
)


def words_of(text: str) -> list[str]:
    """The words of ``text`` in lower case, in Latin letters or Devanagari without dots below."""
    text = re.sub("['\u2019]", "", unicodedata.normalize("NFD", text.lower()))
    return re.findall(r"[a-z]+|[\u0900-\u0963\u0970-\u097f]+", text.replace("\u093c", ""))


_SCORES = dict.fromkeys(words_of(_GOOD), 1) | dict.fromkeys(words_of(_BAD), -1)


def sentiment(text: str) -> Literal["positive", "negative", "neutral"]:
    """Count good words against bad ones; a negation up to three words before inverts a word."""
    words = words_of(text)
    total = 0
    for index, word in enumerate(words):
        score = _SCORES.get(word, 0)
        negated = not _NEGATIONS.isdisjoint(words[max(index - 3, 0) : index])
        total += -score if negated else score
    return "positive" if total > 0 else "negative" if total < 0 else "neutral"
