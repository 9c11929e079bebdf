"""The sandbox's answers: a question and the turns before it become Markdown.

The answer is the handbook page that matches best. A follow-up without a topic ("show an example",
"and in Python?", "why?", "in one sentence", "tell me more") is about the topic of the turns before
it. The same question after the same turns gets the same answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from .fields import fields_of, requested_fields
from .intent import FollowUp, ParsedQuestion, parse, text_of
from .pages import Page, handbook
from .search import SearchHit, index
from .sentiment import sentiment
from .vocabulary import FOLLOW_UP_WORDS

Turns = Sequence[tuple[str, str]]

_MIN_COVERAGE = 0.4  # below it, a page is not about the question
_MAX_HITS = 8
_GREETING = re.compile(
    r"\W*(?:hi|hello|hey|good (?:morning|afternoon|evening|day))(?: (?:there|all|sandbox))?\W*",
    re.IGNORECASE,
)
_THANKS = re.compile(r"\W*(?:many )?(?:thanks|thank you)\b[\w\s,!.]{0,30}", re.IGNORECASE)
_REPEAT = re.compile(
    r"\W*(?:(?:please|(?:can|could|would) you) )*(?:repeat|say)(?: (?:that|it|(?:your|the)"
    r"(?: last| whole| full)? (?:answer|reply)))?(?: once more| again)?(?:,? please)?\W*",
    re.IGNORECASE,
)
_TOPICS = re.compile(
    r"\W*(?:help|topics|what (?:can|do) you (?:do|know)|what can i ask(?: you)?"
    r"|(?:which|what) topics.*)\W*",
    re.IGNORECASE,
)


def answer(question: str, turns: Turns = ()) -> str:
    """The answer to `question`.

    * ``question``: the prompt as it was sent, including data.
    * ``turns``: the turns before it in this branch, oldest first: pairs of question and answer.
    """
    about, fields = requested_fields(question)
    if fields:
        return json.dumps(fields_of(text_of(about), fields), ensure_ascii=False)
    parsed = parse(question)
    if parsed.task == "sentiment":
        label = sentiment(parsed.text)
        return label if parsed.form == "prose" else _json({"sentiment": label}, parsed)
    if turns and _REPEAT.fullmatch(question):
        return turns[-1][1]
    if _GREETING.fullmatch(question):
        return (
            "Hello! This is the sandbox of aeron-magic. Ask me how to use it, for example "
            "*How do I continue a conversation?* or *How do I put a value into my question?*\n"
        )
    if _THANKS.fullmatch(question):
        return "You are welcome.\n"
    if _TOPICS.fullmatch(question):
        return f"I answer from the handbook of aeron-magic. Its topics are:\n\n{_topics()}\n"
    topic = topic_of(turns) if _lacks_topic(parsed) else None
    hits = _hits_for_topic(topic) if topic else _hits(parsed)
    if parsed.form == "table":
        return _table(hits)
    if parsed.form != "prose":
        pages = [
            {"page": hit.page.name, "title": hit.page.title, "score": round(hit.score, 2)}
            for hit in hits
        ]
        about = parsed.text if parsed.task == "route" else question
        return _json({"question": about, "pages": pages}, parsed)
    if not hits:
        return (
            "The handbook does not cover this, and the sandbox is not a language model. "
            f"It can answer questions on these topics:\n\n{_topics()}\n"
        )
    page = hits[0].page
    if parsed.follow_up == "short":
        return _first_sentence(page) + "\n"
    if topic:
        parts = _follow_up(page, parsed.follow_up, "\n".join(text for _, text in turns))
    else:
        parts = _article(page, parsed.follow_up)
    related = ", ".join(handbook()[name].title.lower() for name in page.related)
    return "\n\n".join([*parts, f"*Related: {related}.*"]) + "\n"


def topic_of(turns: Turns) -> Page | None:
    """The page that answered the newest question with a topic; None if there is none."""
    for question, _ in reversed(turns):
        parsed = parse(question)
        hits = [] if _lacks_topic(parsed) else _hits(parsed)
        if hits:
            return hits[0].page
    return None


def _lacks_topic(parsed: ParsedQuestion) -> bool:
    if parsed.task == "route":
        return False
    words = set(index().content_words(parsed.text))
    if parsed.follow_up or parsed.form != "prose":
        words -= FOLLOW_UP_WORDS
    return not words


def _hits(parsed: ParsedQuestion) -> list[SearchHit]:
    hits = index().search(parsed.text)[:_MAX_HITS]
    # A request for the page of a question comes with scores, so it needs no threshold.
    known = hits and (parsed.task == "route" or hits[0].coverage >= _MIN_COVERAGE)
    return hits if known else []


def _hits_for_topic(topic: Page) -> list[SearchHit]:
    others = [hit for hit in index().search(topic.title) if hit.page != topic]
    return [SearchHit(topic, 1.0, 1.0), *others][:_MAX_HITS]


def _article(page: Page, follow_up: FollowUp) -> list[str]:
    """The page without its sections, unless the question asks for one of them."""
    parts = [f"### {page.title}", page.lead]
    if follow_up == "python" and "In Python" in page.sections:
        return [*parts, *page.sections["In Python"]]
    if follow_up == "why":
        parts += page.sections["Why"]
    return [*parts, *page.blocks]


def _first_sentence(page: Page) -> str:
    return re.split(r"(?<=[.!?]) ", " ".join(page.lead.split()), maxsplit=1)[0]


def _follow_up(page: Page, follow_up: FollowUp, shown: str) -> list[str]:
    """What a follow-up asks about `page`, without what was `shown` before."""
    match follow_up:
        case "example":
            new = [example for example in page.examples if example not in shown]
            return [f"An example for *{page.title.lower()}*:", (new or page.examples)[0]]
        case "python" if "In Python" in page.sections:
            return ["In Python it looks like this:", *page.sections["In Python"]]
        case "python":
            python = handbook()["python"]
            return [
                f"The page *{page.title}* has no section on Python.",
                python.lead,
                python.examples[0],
            ]
        case "why":
            return [*page.sections["Why"]]
    new = [block for block in page.body if block not in shown]
    if not new:
        other = handbook()[page.related[0]]
        return [f"There is nothing more. A related page is *{other.title}*:", other.lead]
    return [f"More on *{page.title.lower()}*:", *new]


def _topics() -> str:
    return "\n".join(f"* {page.title}" for page in handbook().values())


def _json(value: object, parsed: ParsedQuestion) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return text if parsed.form == "bare-json" else f"```json\n{text}\n```\n"


def _table(hits: Sequence[SearchHit]) -> str:
    rows = [f"| {hit.page.name} | {hit.page.title} | {hit.score:.2f} |" for hit in hits]
    return "\n".join(["| page | title | score |", "| --- | --- | ---: |", *rows]) + "\n"
