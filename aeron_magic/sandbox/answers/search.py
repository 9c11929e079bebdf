"""Full-text search over the handbook: which page answers this question?

Titles and phrasings of the pages are rows of an SQLite FTS5 table, which stems words and ranks
rows with bm25. A page's rank is that of its nearest rows. The score also depends on the share of
the question's words that occur in the page. A misspelt word is replaced with the nearest known one.
"""

from __future__ import annotations

import difflib
import functools
import math
import sqlite3
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .pages import Page, handbook
from .vocabulary import STOP_WORDS, tokenize

_NEAREST_ROWS = 5  # each counts half as much as the one before
_MAX_QUERY_WORDS = 60
_MAX_CORRECTED_WORDS = 15  # correcting a word takes about 1 ms
_MIN_SIMILARITY = 0.83


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A page that matches a question.

    * ``coverage``: 0 to 1: the share of the question's words that occur in the page, weighted by
      rarity.
    """

    page: Page
    score: float
    coverage: float


class Index:
    """An in-memory index; safe to use from many threads."""

    def __init__(self, pages: Iterable[Page]) -> None:
        self._pages: Mapping[str, Page] = {page.name: page for page in pages}
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        self._database.execute(
            "CREATE VIRTUAL TABLE texts USING fts5(page UNINDEXED, words, tokenize='porter')"
        )
        vocabulary: set[str] = set()
        for page in self._pages.values():
            for text in (page.title, *page.phrasings, page.lead, *page.body):
                words = tokenize(text)
                vocabulary.update(words)
                self._database.execute(
                    "INSERT INTO texts VALUES (?, ?)", (page.name, " ".join(words))
                )
        self._vocabulary = sorted(vocabulary)

    def search(self, question: str) -> list[SearchHit]:
        """The pages that match, best first; empty if no significant word is known."""
        words = self.content_words(question)
        with self._lock:
            matches = {word: self._pages_with(word) for word in words}
            if not any(matches.values()):
                return []
            # Stop words take part here: "who" is rare among the phrasings.
            ranks = self._ranks([*words, *tokenize(question)[:_MAX_QUERY_WORDS]])
        best = max(ranks.values(), default=1.0)
        hits = []
        for name in sorted(ranks):
            coverage = self._coverage(name, matches)
            score = ranks[name] / best * (1 + coverage) / 2
            hits.append(SearchHit(self._pages[name], round(score, 3), coverage))
        return sorted(hits, key=lambda hit: -hit.score)

    def content_words(self, question: str) -> list[str]:
        """The words of a question that are not stop words, each once, spelling corrected.

        Unknown words of a text longer than a question are left out instead of corrected.
        """
        words = [word for word in tokenize(question) if word not in STOP_WORDS]
        words = list(dict.fromkeys(word for word in words if len(word) > 1 or word.isdigit()))
        if len(words) > _MAX_CORRECTED_WORDS:
            with self._lock:
                return [word for word in words[:_MAX_QUERY_WORDS] if self._pages_with(word)]
        return list(dict.fromkeys(self._corrected(word) for word in words))

    def _ranks(self, words: Iterable[str]) -> dict[str, float]:
        query = " OR ".join(f'"{word}"' for word in dict.fromkeys(words))
        rows = self._database.execute(
            "SELECT page, -bm25(texts) AS fit FROM texts WHERE texts MATCH ? ORDER BY fit DESC",
            (query,),
        )
        fits: defaultdict[str, list[float]] = defaultdict(list)
        for name, fit in rows:
            fits[name].append(fit)
        return {
            name: sum(fit / 2**rank for rank, fit in enumerate(some[:_NEAREST_ROWS]))
            for name, some in fits.items()
        }

    def _coverage(self, name: str, matches: Mapping[str, set[str]]) -> float:
        count = len(self._pages)
        weights = {word: math.log(1 + count / (0.5 + len(some))) for word, some in matches.items()}
        found = sum(weights[word] for word, pages in matches.items() if name in pages)
        return round(found / sum(weights.values()), 3)

    def _corrected(self, word: str) -> str:
        if len(word) < 5:
            return word
        with self._lock:
            if self._pages_with(word):
                return word
        near = difflib.get_close_matches(word, self._vocabulary, 1, _MIN_SIMILARITY)
        return near[0] if near else word

    def _pages_with(self, word: str) -> set[str]:
        query = "SELECT DISTINCT page FROM texts WHERE texts MATCH ?"
        return {name for (name,) in self._database.execute(query, (f'"{word}"',))}


_building = threading.Lock()


def index() -> Index:
    """The index over the handbook; the first call builds it, concurrent calls wait."""
    with _building:
        return _index()


@functools.cache
def _index() -> Index:
    return Index(handbook().values())
