"""Answers of the user's own: a file of questions and answers, read again when it has changed.

========  =====================================================================================
suffix    content
========  =====================================================================================
.csv      columns ``question`` and ``answer``, separated by commas, semicolons or tabs
.jsonl    one JSON object with ``question`` and ``answer`` on each line
.md       each heading with text below it is a question, the text its answer
========  =====================================================================================
"""

from __future__ import annotations

import csv
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from unicodedata import category, normalize

from .pages import Page
from .search import Index

MIN_COVERAGE = 0.4
"""The share of a question's words, by weight, below which an entry does not answer it."""

MAX_SIZE = 32 << 20
MAX_ENTRIES = 100_000

UNKNOWN = "I do not know. My answers do not cover this question.\n"

_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.*)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


class Faq:
    """Answers questions from a file or a mapping; safe to use from many threads.

    * ``source``: the file's path, or the answers by question.

    Raises OSError: the file cannot be read. Raises ValueError: it has no questions and answers; the
    text says what is missing.
    """

    def __init__(self, source: str | os.PathLike[str] | Mapping[str, str]) -> None:
        self._path = None if isinstance(source, Mapping) else Path(source).expanduser().absolute()
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        if isinstance(source, Mapping):
            self._use(source.items())
        else:
            self._refresh()

    def __len__(self) -> int:
        return len(self._entries)

    def answer(self, question: str, turns: Sequence[tuple[str, str]] = ()) -> str:
        """The answer of the entry that matches best; a file that cannot be read is the answer."""
        with self._lock:
            try:
                self._refresh()
            except (OSError, ValueError) as error:
                return f"The file of answers cannot be read: {error}\n"
            exact, by_words, index = self._exact, self._by_words, self._index
        text, words = _keys(question)
        if (found := exact.get(text, by_words.get(words))) is not None:
            return found
        hits = index.search(question)
        return hits[0].page.lead if hits and hits[0].coverage >= MIN_COVERAGE else UNKNOWN

    def _refresh(self) -> None:
        if self._path is None:
            return
        status = self._path.stat()
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp != self._stamp:
            self._use(read_entries(self._path))
            self._stamp = stamp

    def _use(self, found: Iterable[tuple[str, str]]) -> None:
        entries = [pair for pair in found if all(map(str.strip, pair))]
        if not entries:
            raise ValueError("it has no question with an answer")
        if len(entries) > MAX_ENTRIES:
            raise ValueError(f"it has more than {MAX_ENTRIES:,} entries")
        self._entries = entries
        keys = [(*_keys(question), answer) for question, answer in reversed(entries)]
        self._exact = {text: answer for text, _, answer in keys}
        self._by_words = {words: answer for _, words, answer in keys}
        self._index = Index(
            Page(f"{number:06}", question, answer, (), {}, (), ())
            for number, (question, answer) in enumerate(entries)
        )


def _keys(question: str) -> tuple[str, str]:
    r"""A question as it is compared: its text, and its words, without signs.

    The vowel signs of Hindi and other scripts belong to the words, though not to ``\w``.
    """
    text = " ".join(normalize("NFC", question.casefold()).split())
    marked = (one if one.isalnum() or category(one)[0] == "M" else " " for one in text)
    return text, " ".join("".join(marked).split()) or text


def read_entries(path: Path) -> Iterator[tuple[str, str]]:
    """The entries of a file, which may be blank; see :class:`Faq` for what it raises."""
    if not path.is_file():
        raise ValueError("it is not a file")
    if path.stat().st_size > MAX_SIZE:
        raise ValueError(f"it has more than {MAX_SIZE >> 20} MiB")
    text = path.read_text("utf-8-sig")  # a UnicodeDecodeError is a ValueError
    match path.suffix.lower():
        case ".csv":
            found = _from_csv(text)
        case ".jsonl":
            found = _from_json_lines(text)
        case ".md":
            found = _from_markdown(text)
        case _:
            raise ValueError("its name must end with .csv, .jsonl or .md")
    return found


def _from_csv(text: str) -> Iterator[tuple[str, str]]:
    head = text.partition("\n")[0]
    try:
        rows = csv.DictReader(
            text.splitlines(keepends=True), delimiter=max(",;\t", key=head.count), strict=True
        )
        names = {str(name).strip().lower(): name for name in rows.fieldnames or ()}
        if not {"question", "answer"} <= names.keys():
            raise ValueError("its first line must name the columns question and answer")
        for row in rows:
            yield row[names["question"]] or "", row[names["answer"]] or ""
    except csv.Error as error:
        raise ValueError(f"it is not a CSV file: {error}") from None


def _from_json_lines(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            question, answer = entry["question"], entry["answer"]
        except (ValueError, KeyError, TypeError, RecursionError):
            question = answer = None
        if not (isinstance(question, str) and isinstance(answer, str)):
            raise ValueError(f"line {number} is not an object with question and answer")
        yield question, answer


def _from_markdown(text: str) -> Iterator[tuple[str, str]]:
    question, lines, fence = "", list[str](), ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if fence:
            fence = (
                "" if line.strip().startswith(fence) and not line.strip(f" {fence[0]}") else fence
            )
        elif mark:
            fence = mark[1]
        elif heading := _HEADING.fullmatch(line):
            yield question, "\n".join(lines).strip("\n")
            question, lines = heading[1].rstrip("# \t"), []
            continue
        lines.append(line)
    yield question, "\n".join(lines).strip("\n")
