"""Search over the handbook: which page answers this question?

Of every word it is known how often it is said about each page: in the questions that people ask
of it (``questions.md``), in its title, keywords and lead, and, for little, in its text. A word that
is said of a page five times as often as of pages in general speaks for that page, with the
logarithm of that lift; what all words of a question have to say is added up. It is the rule of
naive Bayes, smoothed, and can be checked by hand: `Index.reasons` shows the sum.

Neighbouring words count besides single ones ("start over", "run twice"), and so do the pieces of
four letters that a word is made of, so that other forms of a word and mistyped ones are
not lost. Before that, notation is turned into words and words that mean the same here become one,
see `vocabulary`.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .pages import Page, handbook, questions
from .vocabulary import STOP_WORDS, stem, words

__all__ = ["Found", "Index", "index"]

_TITLE, _KEYWORDS, _LEAD, _BODY = 3.0, 2.0, 1.0, 0.4  # one question of somebody's counts 1
_SMALL_WORD, _PAIR, _LETTERS = 0.5, 0.5, 0.25  # a word that says something counts 1
_LIFT = 0.25  # how much a lift counts against "it is said of every page alike"
_PIECE = 4  # letters
_APART = "xx"  # stands between texts, and so marks where one begins and ends
_LONGEST_QUERY = 60
_LONGEST_MENDED = 25
_NEAR_ENOUGH = 0.83

# A word is "w…", a piece of a word "~…", and a pair is a pair.
_Sign = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A page that fits a question.

    Parameters
    ----------
    page
        The page.
    score
        0 to 1, relative to the best that any page could have had.
    coverage
        0 to 1: how much of the question's substance this page knows, rare words counting most.
    """

    page: Page
    score: float
    coverage: float


class Index:
    """An index in memory, which does not change; may be used from many threads.

    Parameters
    ----------
    pages
        What is to be found.
    asked
        Pairs of a page's name and a question it answers.
    """

    def __init__(self, pages: Iterable[Page], asked: Iterable[tuple[str, str]] = ()) -> None:
        self._pages: Mapping[str, Page] = {page.name: page for page in pages}
        spoken: defaultdict[str, list[str]] = defaultdict(list)
        for name, question in asked:
            spoken[name].append(question)
        self._known: defaultdict[str, set[str]] = defaultdict(set)
        self._vocabulary: set[str] = set()
        self._said = {
            page.name: self._read(page, spoken[page.name]) for page in self._pages.values()
        }
        self._size = {name: sum(signs.values()) for name, signs in self._said.items()}

    def search(self, question: str) -> list[Found]:
        """The pages that fit, best first; empty where no word of substance is known."""
        known = {word: self._known.get(stem(word), set()) for word in self.substance(question)}
        if not any(known.values()):
            return []
        sums = dict.fromkeys(self._pages, 0.0)
        most = 0.0
        for spoken in self.reasons(question).values():
            most += max(spoken.values())
            for name, weight in spoken.items():
                sums[name] += weight
        found = [
            Found(self._pages[name], round(fit / most, 4), _coverage(name, known, len(sums)))
            for name, fit in sums.items()
            if fit
        ]
        return sorted(found, key=lambda one: (-one.score, one.page.name))

    def reasons(self, question: str) -> dict[_Sign, dict[str, float]]:
        """What each sign in the question says for each page, which `search` adds up.

        Parameters
        ----------
        question
            In anyone's words.
        """
        asked = self._asked(question)
        if len(asked) > _LONGEST_MENDED:  # what comes with a question has unknown words in plenty
            asked = [word for word in asked if stem(word) in self._known]
        asked = [_APART, *asked, _APART]
        signs = _signs(Counter(asked), Counter(itertools.pairwise(map(stem, asked))))
        count = len(self._pages)
        reasons = {}
        for sign, weight in signs.items():
            said = {
                name: said[sign] / self._size[name]
                for name, said in self._said.items()
                if sign in said
            }
            if said:
                usual = sum(said.values()) / count
                reasons[sign] = {
                    name: weight * math.log1p(_LIFT * often / usual) for name, often in said.items()
                }
        return reasons

    def substance(self, question: str) -> list[str]:
        """The words of a question that say something, each once, mistyped ones mended."""
        kept = [word for word in self._asked(question) if word not in STOP_WORDS]
        return list(dict.fromkeys(word for word in kept if len(word) > 1 or word.isdigit()))

    def _asked(self, question: str) -> list[str]:
        """The words of a question, mistyped ones mended."""
        asked = words(question)[:_LONGEST_QUERY]
        if len(asked) <= _LONGEST_MENDED:
            return [self._mended(word) for word in asked]
        # A text rather than a question: mending takes time, and would mend what is right.
        return asked

    def _read(self, page: Page, spoken: Iterable[str]) -> dict[_Sign, float]:
        """How much is said of a page, by sign."""
        said: defaultdict[str, float] = defaultdict(float)
        paired: defaultdict[tuple[str, str], float] = defaultdict(float)
        for weight, texts in (
            (1.0, spoken),
            (_TITLE, [page.title]),
            (_KEYWORDS, page.keywords.split(", ")),
            (_LEAD, [page.lead]),
            (_BODY, [page.body]),
        ):
            # Read as one text, which is much quicker than one by one.
            text = words(f"\n{_APART}\n".join(["", *texts, ""]))
            for word, often in Counter(text).items():
                said[word] += weight * often
            for pair, often in Counter(itertools.pairwise(map(stem, text))).items():
                paired[pair] += weight * often
        self._vocabulary.update(said)
        for word in said:
            self._known[stem(word)].add(page.name)
        return _signs(said, paired)

    def _mended(self, word: str) -> str:
        if len(word) < 5 or stem(word) in self._known:
            return word
        like = sorted(one for one in self._vocabulary if abs(len(one) - len(word)) <= 2)
        near = difflib.get_close_matches(word, like, 1, _NEAR_ENOUGH)
        return near[0] if near else word


def _signs(
    said: Mapping[str, float], paired: Mapping[tuple[str, str], float]
) -> dict[_Sign, float]:
    """What to go by in a text, and how much each counts in it, from its words and stemmed pairs."""
    signs: defaultdict[_Sign, float] = defaultdict(float)
    for word, often in said.items():
        if word == _APART:
            continue
        if word in STOP_WORDS:
            signs["w" + stem(word)] += _SMALL_WORD * often
            continue
        signs["w" + stem(word)] += often
        letters = _LETTERS * often
        for piece in _pieces(word):
            signs[piece] += letters
    for pair, often in paired.items():
        signs[pair] = _PAIR * often
    return signs


@functools.lru_cache(maxsize=8192)
def _pieces(word: str) -> list[str]:
    whole = f"_{word}_"
    return [f"~{whole[i : i + _PIECE]}" for i in range(len(whole) - _PIECE + 1)]


def _coverage(name: str, known: Mapping[str, set[str]], count: int) -> float:
    weight = {word: math.log(1 + count / (0.5 + len(some))) for word, some in known.items()}
    hit = sum(weight[word] for word, pages in known.items() if name in pages)
    return round(hit / sum(weight.values()), 3)


@functools.cache
def index() -> Index:
    """The index over the handbook, built on first use."""
    return Index(handbook().values(), questions())
