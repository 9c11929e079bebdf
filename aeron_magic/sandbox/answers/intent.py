"""What form an answer should have, and what else a question carries besides its words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["ParsedQuestion", "read_question", "text_for", "without_follow_words"]

Form = Literal["prose", "json", "bare-json", "table", "code"]
Follow = Literal["", "example", "python", "why", "more"]

_ANSWER = r"(?:answer|reply|respond|output|return|format|give|show|list|write|present)\w*"
_ALONE = r"^(?:\W|and|please|the same|same|now|that|this|it)*(?:as|in) (?:a )?"


def _wish(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_FORM_WISHES: tuple[tuple[Form, re.Pattern[str]], ...] = (
    (
        "bare-json",
        _wish(r"\b(?:only|just|nothing but|bare)\b(?: (?:as|in|with|valid|the))* json\b"),
    ),
    ("bare-json", _wish(r"\bjson only\b")),
    ("json", _wish(rf"\b{_ANSWER}\b.*\b(?:as|in|with) (?:a )?(?:valid )?json\b")),
    ("json", _wish(rf"{_ALONE}json\b")),
    ("json", _wish(r"\b(?:pages?|topics?)\b.*\b(?:as|in) json\b")),
    ("table", _wish(rf"\b{_ANSWER}\b.*\b(?:as|in) (?:a |the )?(?:markdown )?table\b")),
    ("table", _wish(rf"{_ALONE}(?:markdown )?table\b")),
    ("table", _wish(r"\b(?:pages?|topics?)\b.*\b(?:as|in) a (?:markdown )?table\b")),
    ("code", _wish(r"\b(?:only|just)(?: show| give)?(?: me)? (?:the )?(?:code|example)\b")),
    ("code", _wish(r"\b(?:code|example) only\b")),
)
# "How do I get a reply as JSON?" is about JSON, and asks for none.
_ABOUT = _wish(
    r"^\W*(?:so |and |but )?"
    r"(?:how|can|could|may|does|do|is|are|why|when|where|will|what (?:does|if))\b"
)
_FOLLOW_WISHES: tuple[tuple[Follow, re.Pattern[str]], ...] = (
    ("python", _wish(r"\b(?:in|from|with|using) (?:plain )?python\b|^\W*(?:and )?python\W*$")),
    (
        "example",
        _wish(r"\b(?:examples?|sample|snippet|demonstrate|show (?:me|it|that|one)|code)\b"),
    ),
    ("why", _wish(r"\b(?:why|what for|reason|how come)\b")),
    ("more", _wish(r"\b(?:more|else|go on|continue|further|details?|elaborate|explain)\b")),
)
_FOLLOW_WORDS = re.compile(
    r"\b(?:examples?|sample|snippets?|code|demonstrate|python|plain|why|reason|come|more|else|"
    r"further|details?|elaborate|continue|detail|again|simple|short|small|another|one|bit|little|"
    r"library|api|script|first|second|last|reply|answer|look|same|topic|and|then|ok|okay)\b",
    re.IGNORECASE,
)
_WHICH_PAGE = re.compile(
    r"\bpages?\b[^\n]*\b(?:this|the following|a user'?s?|the user'?s?) question\b", re.IGNORECASE
)
_QUOTED = re.compile(r"[\"“”'](.{3,})[\"“”']", re.DOTALL)
_TABLE = re.compile(r"(?:^[ \t]*\|.*\|[ \t]*(?:\n|$))+", re.MULTILINE)
_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_JSON = re.compile(r"^[ \t]*[\[{].*[\]}][ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class ParsedQuestion:
    """A question taken apart.

    Parameters
    ----------
    text
        The question in words: without data, and without the wish for a form.
    form
        How the answer is wanted.
    follow
        What is wanted of the topic under way, if the question is a follow-up like "why?".
    table
        Rows and column names of a table in the question, if there is one.
    to_route
        Whether `text` is a question of somebody else's, and what is wanted is the page for it:
        then no word of it is a wish.
    """

    text: str
    form: Form = "prose"
    follow: Follow = ""
    table: tuple[int, list[str]] | None = field(default=None)
    to_route: bool = False


def read_question(question: str) -> ParsedQuestion:
    """Take a question apart.

    Parameters
    ----------
    question
        The whole prompt, as it was sent.
    """
    given = text_for(_WHICH_PAGE, question)
    if given is not None:
        task, text = given
        return ParsedQuestion(" ".join(text.split()), _form_of(task)[0], to_route=True)
    table = _table_of(question)
    words = _TABLE.sub("\n", _FENCE.sub("\n", question))
    words = _JSON.sub(lambda found: "\n" if _is_json(found[0]) else found[0], words)
    form, words = _form_of(words)
    follow: Follow = ""
    for kind, pattern in _FOLLOW_WISHES:
        if pattern.search(words):
            follow = kind
            break
    return ParsedQuestion(" ".join(words.split()), form, follow, table)


def text_for(task: re.Pattern[str], question: str) -> tuple[str, str] | None:
    """A task and the text it is to be done with, which are one question; None if it is no such.

    Parameters
    ----------
    task
        Is found in what sets the task.
    question
        The text stands behind a colon, on lines of its own, or in quotation marks.
    """
    first, _, lines = question.strip().partition("\n")
    head, _, behind = first.partition(":")
    early, _, later = question.partition(":")
    for said, text in ((head, behind + "\n" + lines), (first, lines), (early, later)):
        if text.strip() and task.search(said):
            return said, text.strip()
    quoted = _QUOTED.search(question)
    said = question.replace(quoted[0], "") if quoted else ""
    return (said, quoted[1]) if quoted and task.search(said) else None


def without_follow_words(text: str) -> str:
    """What is left of a question when the words of a follow-up are taken out."""
    return _FOLLOW_WORDS.sub(" ", text)


def _form_of(text: str) -> tuple[Form, str]:
    """The form asked for, and the text without the clauses that ask for it."""
    form: Form = "prose"
    kept = []
    for sentence in re.split(r"(?<=[.?!:;\n])\s+", text):
        about = bool(_ABOUT.match(sentence))
        clauses = re.split(r"(,\s+|\s+[(\u2013\u2014]|\s+-\s+)", sentence)
        for index, clause in enumerate(clauses):
            wish = None
            if index or not about:
                wish = next((kind for kind, one in _FORM_WISHES if one.search(clause)), None)
            if wish is None:
                kept.append(clause)
                continue
            if form != "bare-json":
                form = wish
            pattern = next(one for kind, one in _FORM_WISHES if kind == wish and one.search(clause))
            kept.append(_rest(clause, pattern))
        kept.append(" ")
    return form, "".join(kept)


def _rest(clause: str, pattern: re.Pattern[str]) -> str:
    """What a clause asks besides its form: "list the pages about errors as JSON"."""
    found = pattern.search(clause)
    if found is None:
        return clause
    about = re.search(r"\b(?:about|on|for|of)\b(.+?)\b(?:as|in)\b", found[0], re.IGNORECASE)
    return clause[: found.start()] + (about[1] if about else "") + clause[found.end() :]


def _table_of(text: str) -> tuple[int, list[str]] | None:
    for found in _TABLE.finditer(text):
        rows = [line.strip().strip("|").split("|") for line in found[0].strip().splitlines()]
        if len(rows) > 1 and all(re.fullmatch(r"\s*:?-+:?\s*", cell) for cell in rows[1]):
            return len(rows) - 2, [cell.strip() for cell in rows[0]]
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
