"""What a question asks for: its task, the form of the answer, and the follow-up it is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

Task = Literal["explain", "route", "sentiment"]
Form = Literal["prose", "json", "bare-json", "table"]
FollowUp = Literal["", "example", "python", "why", "short", "more"]


@dataclass(frozen=True, slots=True)
class ParsedQuestion:
    """A question taken apart.

    * ``text``: the question without data and without the request for a form.
    * ``task``: ``explain``: answer from the handbook. ``route``: name the page that answers `text`.
      ``sentiment``: classify `text`.
    * ``form``: the requested form of the answer.
    * ``follow_up``: what a question such as "why?" asks about the current topic.
    """

    text: str
    task: Task = "explain"
    form: Form = "prose"
    follow_up: FollowUp = ""


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_ROUTE = _pattern(r"(?m)^(?>.*?\bpages?\b).*\bquestion\b")
_SENTIMENT = _pattern(
    r"^(?!\W*(?:how|can|could|where|why|which)\b).*"
    r"\b(?:sentiment|classify|positive,? (?:or )?negative)\b"
)
_FORM = _pattern(
    r"(?:\b(?:answer|reply|respond|return|write)\b[^.?!:;,]{0,200}?)?"
    r"\b(?:(?:only|just|as|in|with)(?: (?:a|as|in|valid|markdown)){0,5} (?:json|table)\b"
    r"|json only\b)(?: only\b)?"
)
_ABOUT_PAGES = _pattern(
    r"\b(?:which|what|show|list)\b[\w ]{0,200}? pages?(?: are)? (?:about|on|for)\b"
)
# "How do I get a reply as JSON?" is about JSON and does not request it.
_QUESTION_WORD = _pattern(
    r"\W*(?:so |and |but )?"
    r"(?:how|can|could|may|does|do|is|are|why|when|where|which|will|what (?:does|if))\b"
)
_SHORT = _pattern(
    r"\b(?:(?:in|with|as|to)(?: (?:just|only|about|at most))? )?"
    r"(?:one|1|a single|two|2|three|3|a few)[ -](?:short |simple )?sentences?\b"
    r"|\bin a (?:short |single )?sentence\b"
    r"|\b(?:say|make|put|write|keep|cut) (?:it|this|that)(?: much| a bit| even)? "
    r"(?:short(?:er)?|brief(?:er)?)\b"
    r"|\b(?:summari[sz]e|shorten) (?:it|this|that|(?:the|your) (?:answer|reply))\b"
    r"|(?:^|[.?!;,]) ?(?:much )?shorter\b|\b(?:in short|in brief|(?:more )?briefly|tl;?dr)\b"
)
# The rest is the question, so that "look" is no word of it.
_LOOK_UP = _pattern(
    r"\A\W*(?:(?:please|kindly|ok|okay|now|so|and)\b\W*)*"
    r"(?:(?:can|could|would|will) you |i (?:want|need) you to |i'd like you to )?(?:please )?"
    r"(?:look (?:it |this |that )?up|search (?:the handbook |it )?for)\b"
)
_FOLLOW_UPS: tuple[tuple[FollowUp, re.Pattern[str]], ...] = (
    ("python", _pattern(r"\b(?:in|from|with|using) (?:plain )?python\b|^\W*(?:and )?python\W*$")),
    ("example", _pattern(r"\b(?:examples?|sample|snippet|demonstrate|code|show (?:me|it|one))\b")),
    ("why", _pattern(r"\b(?:why|what for|reason|how come)\b")),
    ("short", _SHORT),
    ("more", _pattern(r"\b(?:more|else|go on|continue|further|details?|elaborate|explain)\b")),
)
_DATA = re.compile(r"```.*?(?:```|\Z)|^[ \t]*+\|[^\n]*\|[ \t]*$", re.MULTILINE | re.DOTALL)
# From the first line that opens to the last that closes: if the first cannot be matched, none can.
_JSON_DATA = re.compile(
    r"\A((?:(?![ \t]*+[\[{])[^\n]*+\n)*+)([ \t]*+[\[{].*[\]}][ \t]*)$", re.MULTILINE | re.DOTALL
)
_QUOTED = re.compile(r"[\"“](.{3,300})[\"”]", re.DOTALL)


def parse(question: str) -> ParsedQuestion:
    """Take a question apart.

    * ``question``: the whole prompt, as it was sent.
    """
    for instruction, text in _instructions(question):
        if _ROUTE.search(instruction):
            return ParsedQuestion(text, "route", _form(instruction)[0])
        if _SENTIMENT.search(instruction):
            return ParsedQuestion(text, "sentiment", _form(instruction)[0])
    words = _JSON_DATA.sub(_without_json, _DATA.sub("\n", question))
    form, words = _form(_LOOK_UP.sub("", words))
    words = _ABOUT_PAGES.sub("", words)
    follow_ups: list[FollowUp] = [kind for kind, pattern in _FOLLOW_UPS if pattern.search(words)]
    follow_up = follow_ups[0] if follow_ups else ""
    words = _SHORT.sub("", words)
    return ParsedQuestion(" ".join(words.split()), "explain", form, follow_up)


def text_of(question: str) -> str:
    """The text that an instruction is applied to; the whole question without an instruction."""
    return next((text for _, text in _instructions(question)), question)


def _instructions(question: str) -> list[tuple[str, str]]:
    """The ways to read a question as an instruction and the text that it applies to.

    The text follows a colon, begins on the next line, or is quoted.
    """
    readings = []
    instruction, *rest = re.split(r":|\n", question.strip(), maxsplit=1)
    if rest:
        readings.append((instruction, rest[0].strip()))
    quoted = _QUOTED.search(question)
    if quoted:
        readings.append((question.replace(quoted[0], ""), quoted[1]))
    return [(instruction, text) for instruction, text in readings if text]


def _form(text: str) -> tuple[Form, str]:
    """The requested form, and the text without the request."""
    form: Form = "prose"
    clauses = re.split(r"(?<=[.?!:;,\n])\s+", text)
    for index, clause in enumerate(clauses):
        found = None if _QUESTION_WORD.match(clause) else _FORM.search(clause)
        if found:
            request = found[0].lower()
            bare = "only" in request or "just" in request
            form = "table" if "table" in request else "bare-json" if bare else "json"
            clauses[index] = clause[: found.start()] + clause[found.end() :]
    return form, " ".join(clauses)


def _without_json(found: re.Match[str]) -> str:
    try:
        json.loads(found[2])
    except ValueError:
        return found[0]
    return f"{found[1]}\n"
