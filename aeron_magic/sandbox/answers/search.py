"""Full-text search over the handbook: which page answers this question?

SQLite's FTS5 does the matching (words are stemmed) and the ranking (bm25), over two tables: the
pages, where a hit in the title counts most, then keywords, then the lead; and the questions that
people ask (``questions.md``), where the ones nearest to this question speak for their page.

What is done to a question before: notation is turned into words (``--no-stream``, ``{{``,
``%%aeron``, ``AsyncClient``), words that mean the same here become one ("answer" and "reply"),
words that say nothing are left out, and a word that is in no page is taken for the one it is
nearest to, since people mistype.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import math
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .pages import Page, handbook, questions
from .vocabulary import STOP_WORDS, tokenize

__all__ = ["Index", "SearchHit", "index"]

_TITLE, _KEYWORDS, _LEAD = 8.0, 6.0, 3.0
_QUESTION_SHARE = 0.6  # of the score; the rest is the page's own
_NEAREST = 3  # questions that speak for a page
_PAIR_APART = "xx"  # between keywords, so that neighbours of two of them make no pair
_NO_PAIR = frozenset(("a", "an", "and", "are", "do", "does", "i", "is", "of", "or", "the", "what"))
_LONGEST_QUERY = 60
_LONGEST_MENDED = 15
_NEAR_ENOUGH = 0.83


@dataclass(frozen=True, slots=True)
class SearchHit:
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
    """An index in memory; may be used from many threads.

    Parameters
    ----------
    pages
        What is to be found.
    asked
        Pairs of a page's name and a question it answers.
    """

    def __init__(self, pages: Iterable[Page], asked: Iterable[tuple[str, str]] = ()) -> None:
        self._pages: Mapping[str, Page] = {page.name: page for page in pages}
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        # Every word of a page is in `everything`, for coverage; it takes no part in the ranking,
        # where the many words of a text would drown the few of a title.
        for table in (
            "pages USING fts5(name UNINDEXED, title, keywords, lead, tokenize='porter')",
            "everything USING fts5(name UNINDEXED, body, tokenize='porter')",
            "asked USING fts5(name UNINDEXED, question, tokenize='porter')",
        ):
            self._database.execute(f"CREATE VIRTUAL TABLE {table}")
        vocabulary: set[str] = set()
        every: defaultdict[str, list[str]] = defaultdict(list)
        titles = ((page.name, page.title) for page in self._pages.values())
        for name, question in itertools.chain(asked, titles):
            said = tokenize(question)
            every[name] += said
            self._database.execute("INSERT INTO asked VALUES (?, ?)", (name, " ".join(said)))
        for page in self._pages.values():
            keywords = page.keywords.replace(",", f" {_PAIR_APART} ")
            columns = [tokenize(text) for text in (page.title, keywords, page.lead)]
            said = [*every[page.name], *tokenize(page.body), *(w for col in columns for w in col)]
            vocabulary.update(said)
            self._database.execute(
                "INSERT INTO pages VALUES (?, ?, ?, ?)",
                (page.name, *(" ".join(column) for column in columns)),
            )
            self._database.execute(
                "INSERT INTO everything VALUES (?, ?)", (page.name, " ".join(said))
            )
        self._vocabulary = sorted(vocabulary)

    def search(self, question: str) -> list[SearchHit]:
        """The pages that fit, best first; empty where no word of substance is known."""
        asked = self.content_words(question)
        all_ = tokenize(question)[:_LONGEST_QUERY]
        with self._lock:
            matches = {word: self._matches(word) for word in asked}
            known = [f'"{word}"' for word in asked if matches[word]]
            if not known:
                return []
            own = self._own(" OR ".join([*known, *_pairs(question)]))
            # Here also the small words count: "who" is rare among questions, and telling.
            spoken = self._spoken(" OR ".join(dict.fromkeys(f'"{w}"' for w in [*asked, *all_])))
        found = []
        for name in sorted({*own, *spoken}.union(*matches.values())):
            fit = _mix(own.get(name, 0.0), spoken.get(name, 0.0))
            coverage = self._coverage(name, matches)
            found.append(SearchHit(self._pages[name], round(fit * (1 + coverage) / 2, 3), coverage))
        return sorted(found, key=lambda one: -one.score)

    def content_words(self, question: str) -> list[str]:
        """The words of a question that say something, each once, mistyped ones mended."""
        kept = [word for word in tokenize(question) if word not in STOP_WORDS]
        kept = list(dict.fromkeys(word for word in kept if len(word) > 1 or word.isdigit()))
        if len(kept) > _LONGEST_MENDED:  # a text rather than a question, and mending takes time
            return kept[:_LONGEST_QUERY]
        return list(dict.fromkeys(self._mended(word) for word in kept))

    def _own(self, query: str) -> dict[str, float]:
        """How well each page fits, the best 1."""
        rows = self._database.execute(
            f"SELECT name, -bm25(pages, 0, {_TITLE}, {_KEYWORDS}, {_LEAD}) FROM pages"  # noqa: S608
            " WHERE pages MATCH ?",
            (query,),
        ).fetchall()
        best = max((fit for _, fit in rows), default=1.0)
        return {name: fit / best for name, fit in rows}

    def _spoken(self, query: str) -> dict[str, float]:
        """How well the questions asked of each page fit, the best 1."""
        rows = self._database.execute(
            "SELECT name, -bm25(asked) AS fit FROM asked WHERE asked MATCH ? ORDER BY fit DESC",
            (query,),
        )
        nearest: defaultdict[str, list[float]] = defaultdict(list)
        for name, fit in rows:
            nearest[name].append(fit)
        sums = {
            name: sum(fit / 2**rank for rank, fit in enumerate(fits[:_NEAREST]))
            for name, fits in nearest.items()
        }
        best = max(sums.values(), default=1.0)
        return {name: fit / best for name, fit in sums.items()}

    def _coverage(self, name: str, matches: Mapping[str, set[str]]) -> float:
        count = len(self._pages)
        weight = {word: math.log(1 + count / (0.5 + len(some))) for word, some in matches.items()}
        hit = sum(weight[word] for word, pages in matches.items() if name in pages)
        return round(hit / sum(weight.values()), 3)

    def _mended(self, word: str) -> str:
        if len(word) < 5:
            return word
        with self._lock:
            if self._matches(word):
                return word
        near = difflib.get_close_matches(word, self._vocabulary, 1, _NEAR_ENOUGH)
        return near[0] if near else word

    def _matches(self, word: str) -> set[str]:
        rows = self._database.execute(
            "SELECT name FROM everything WHERE everything MATCH ?", (f'"{word}"',)
        )
        return {name for (name,) in rows}


def _pairs(question: str) -> list[str]:
    """Neighbouring words, which say more together ("set up", "start over", "context token")."""
    every = tokenize(question)[:_LONGEST_QUERY]
    pairs = dict.fromkeys(itertools.pairwise(every))
    return [f'keywords : "{one} {two}"' for one, two in pairs if not {one, two} & _NO_PAIR]


def _mix(own: float, spoken: float) -> float:
    return (1 - _QUESTION_SHARE) * own + _QUESTION_SHARE * spoken


_building = threading.Lock()


def index() -> Index:
    """The index over the handbook, built on first use; those who ask meanwhile wait for it."""
    with _building:
        return _index()


@functools.cache
def _index() -> Index:
    return Index(handbook().values(), questions())
