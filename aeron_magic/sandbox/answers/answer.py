"""What the sandbox says: a question and the conversation before it become a Markdown answer.

The page that fits best is found by `search` and its text is the answer, shortened to what the
question is about. A follow-up that names no topic of its own ("show an example", "and in
Python?", "why?", "tell me more") is about the topic of the question before. The same question
after the same conversation gets the same answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from .intent import ParsedQuestion, read_question, without_follow_words
from .pages import Page, handbook
from .search import SearchHit, index
from .sentiment import labelled, sentiment

__all__ = ["answer", "topic_of"]

Turns = Sequence[tuple[str, str]]

_KNOWN_ENOUGH = 0.4  # coverage below which a page is not about the question
_LISTED = 8
_GREETING = re.compile(
    r"\W*(?:hi|hello|hey|hallo|moin|greetings|good (?:morning|afternoon|evening|day))"
    r"(?: (?:there|you|all|everyone|sandbox|aeron))*\W*",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"\W*(?:many )?(?:thanks|thank you|thx|cheers)\b[\w\s,!.]{0,30}", re.IGNORECASE
)
_TOPICS = re.compile(
    r"\W*(?:help|topics|what (?:can|do) you (?:do|know|talk about)|what can i ask(?: you)?"
    r"|(?:which|what) topics.*|list (?:the |all )?(?:topics|pages))\W*(?:please)?\W*",
    re.IGNORECASE,
)


def answer(question: str, turns: Turns = ()) -> str:
    """The answer to `question`.

    Parameters
    ----------
    question
        The prompt as it was sent, data and all.
    turns
        The turns before it in this branch, oldest first: pairs of question and answer.
    """
    asked = read_question(question)
    text = None if asked.to_route else labelled(question)
    if text is not None:
        label = sentiment(text)
        return _json({"sentiment": label}, asked) if "json" in asked.form else label
    if _GREETING.fullmatch(question):
        return (
            "Hello! This is the sandbox of aeron-magic. Ask me how to use it, for example "
            "*How do I continue a conversation?* or *How do I put a value into my question?*\n"
        )
    if _THANKS.fullmatch(question):
        return "You are welcome. Ask on whenever you like.\n"
    if _TOPICS.fullmatch(question):
        return f"I know aeron-magic's handbook. These are its topics:\n\n{_topics()}\n"
    found, follows = _found(asked, turns)
    if asked.form in {"json", "bare-json"}:
        pages = [
            {"page": one.page.name, "title": one.page.title, "score": round(one.score, 2)}
            for one in found[:_LISTED]
        ]
        about = asked.text if asked.to_route else question
        return _json({"question": about, "pages": pages}, asked)
    if asked.form == "table":
        return _table(found[:_LISTED])
    if not found:
        return _nothing(asked)
    page = found[0].page
    if asked.form == "code":
        return f"{page.examples[0]}\n"
    told = [text for _, text in turns] if follows else []
    parts = _follow_up(page, asked, told) if follows else _article(page, asked)
    return "\n\n".join([*_noticed(asked), *parts, _related(page)]) + "\n"


def topic_of(turns: Turns) -> Page | None:
    """The page the conversation is about: that of the newest question with a topic of its own."""
    for question, _ in reversed(turns):
        asked = read_question(question)
        found = [] if _without_topic(asked) else _about(asked)
        if found:
            return found[0].page
    return None


def _found(asked: ParsedQuestion, turns: Turns) -> tuple[list[SearchHit], bool]:
    """The pages for a question, best first, and whether it is a follow-up to the turns."""
    topic = topic_of(turns) if _without_topic(asked) else None
    if topic is not None:
        return _with_topic_first(topic), True
    return _about(asked), False


def _without_topic(asked: ParsedQuestion) -> bool:
    """Whether a question names nothing but what it wants of the topic under way."""
    if asked.to_route:
        return False
    wants = asked.follow or asked.form != "prose"
    return not index().content_words(without_follow_words(asked.text) if wants else asked.text)


def _about(asked: ParsedQuestion) -> list[SearchHit]:
    found = [one for one in index().search(asked.text) if one.coverage > 0]
    # Who asks for the page of a question judges by the score; who asks a question cannot.
    known = found and (asked.to_route or found[0].coverage >= _KNOWN_ENOUGH)
    return found if known else []


def _with_topic_first(topic: Page) -> list[SearchHit]:
    others = [one for one in index().search(topic.title) if one.page != topic]
    return [SearchHit(topic, 1.0, 1.0), *others]


# Prose ---------------------------------------------------------------------------------------


def _article(page: Page, asked: ParsedQuestion) -> list[str]:
    """Lead, what fits of the text, and an example."""
    if asked.follow == "python" and "In Python" in page.sections:
        return [f"### {page.title}", page.lead, *page.sections["In Python"]]
    parts = [f"### {page.title}", page.lead]
    if asked.follow == "why" and "Why" in page.sections:
        parts += page.sections["Why"]
    return parts + _chosen(page, asked)


def _chosen(page: Page, asked: ParsedQuestion) -> list[str]:
    """The blocks that speak of the question's words, and the first example."""
    wanted = set(index().content_words(asked.text))
    blocks = list(page.blocks)
    prose = [i for i, block in enumerate(blocks) if not block.startswith("```")]
    ranked = sorted(prose, key=lambda i: (-len(wanted & set(index().content_words(blocks[i]))), i))
    kept = set(ranked[:2])
    first_example = next((i for i, block in enumerate(blocks) if block.startswith("```")), None)
    if first_example is not None:
        kept.add(first_example)
    for i in list(kept):
        if blocks[i].endswith(":") and i + 1 < len(blocks):
            kept.add(i + 1)  # what a colon announces
        if blocks[i].startswith("```") and i and blocks[i - 1].endswith(":"):
            kept.add(i - 1)
        if blocks[i][0] in "abcdefghijklmnopqrstuvwxyz" and i:
            kept.add(i - 1)  # a sentence that goes on after its example
    return [blocks[i] for i in sorted(kept)]


def _follow_up(page: Page, asked: ParsedQuestion, told: Sequence[str]) -> list[str]:
    """What a follow-up wants of the topic under way, as far as it was not told before."""
    heard = "\n".join(told)
    match asked.follow:
        case "example":
            new = [one for one in page.examples if one not in heard] or list(page.examples[:1])
            return [f"An example for *{page.title.lower()}*:", new[0]]
        case "python":
            if "In Python" in page.sections:
                return ["In Python it looks like this:", *page.sections["In Python"]]
            api = handbook()["python"]
            return [f"*{page.title}* has no part of its own for Python.", api.lead, api.examples[0]]
        case "why":
            return [*page.sections.get("Why", (page.lead,))]
    new = [block for block in page.blocks if block not in heard]
    if not new:
        new = [block for part in page.sections.values() for block in part if block not in heard]
    if not new:
        nearby = handbook()[page.related[0]]
        return [f"That is all there is on it. Close by, *{nearby.title.lower()}*:", nearby.lead]
    return [f"More on *{page.title.lower()}*:", *new]


def _noticed(asked: ParsedQuestion) -> list[str]:
    if asked.table is None:
        return []
    rows, columns = asked.table
    names = ", ".join(f"`{name}`" for name in columns)
    size = f"{rows} row{'s' * (rows != 1)}"
    kind = f"column{'s' * (len(columns) != 1)}"
    return [f"Your question carries a table of {size} with the {kind} {names}."]


def _related(page: Page) -> str:
    return f"*Related: {', '.join(handbook()[name].title.lower() for name in page.related)}.*"


def _nothing(asked: ParsedQuestion) -> str:
    sorry = (
        "The handbook has nothing on that, and the sandbox knows nothing else: it is no language "
        "model. These are the topics it can talk about:"
    )
    return "\n\n".join([*_noticed(asked), sorry, _topics()]) + "\n"


def _topics() -> str:
    return "\n".join(f"* {page.title}" for page in handbook().values())


# Data ----------------------------------------------------------------------------------------


def _json(value: object, asked: ParsedQuestion) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return text if asked.form == "bare-json" else f"```json\n{text}\n```\n"


def _table(found: Sequence[SearchHit]) -> str:
    rows = [f"| {one.page.name} | {one.page.title} | {one.score:.2f} |" for one in found]
    return "\n".join(["| page | title | score |", "| --- | --- | ---: |", *rows]) + "\n"
