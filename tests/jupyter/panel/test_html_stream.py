"""The HTML of a growing reply: a page always builds the same HTML as the kernel."""

from __future__ import annotations

import pytest
from cpu_time import least_cpu
from hypothesis import given
from hypothesis import strategies as st
from panel_harness import rebuilt

from aeron_magic.jupyter.panel.turn_views import MAX_STEP, HtmlStream, splice, utf16_safe
from aeron_magic.protocol.events import Chunk, Recovering
from aeron_magic.rendering.safe_html import to_html
from aeron_magic.replies.accumulator import ReplyAccumulator

CASES = {
    "paragraphs": "A paragraph with *emphasis* of some length.\n\n" * 80,
    "code": "Before\n\n```python\n" + "x = 1  # a comment\n" * 300 + "```\n\nAfter\n",
    "table": "| a | b |\n|---|---|\n" + "| some words | other words |\n" * 200,
    "list": "\n".join(f"{n}. item {n} with words" for n in range(300)),
    "line": "word 😀 " * 900,
    "definition": "See [this][x].\n\n" * 100 + "[x]: https://example.org\n",
}


def messages_of(text: str, size: int, step: int) -> tuple[list[dict[str, object]], HtmlStream]:
    """The messages about a reply in chunks of ``size``, one after each ``step`` chunks."""
    accumulator, html_stream = ReplyAccumulator("aeronpay"), HtmlStream()
    messages: list[dict[str, object]] = [{"type": "begin"}]
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    for number, chunk in enumerate(chunks):
        accumulator.add([Chunk(chunk, number + 2, "m")])
        last = number == len(chunks) - 1
        if (number % step == 0 or last) and (message := html_stream.step(accumulator)) is not None:
            messages.append({"type": "delta", **message})
    messages.append({"type": "end", "patch": html_stream.end(accumulator.reply())})
    return messages, html_stream


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("size", "step"), [(7, 9), (1, 50), (5_000, 1)])
def test_the_end_is_the_whole(name: str, size: int, step: int) -> None:
    """However it came, what stands there in the end is the HTML of the whole text."""
    messages, _ = messages_of(CASES[name], size, step)
    assert "".join(rebuilt(messages)) == utf16_safe(to_html(CASES[name]))


@given(st.text(alphabet="ab *`|-#\n>1.$😀<", max_size=300), st.integers(1, 40))
def test_any_text(text: str, size: int) -> None:
    """The same for anything at all."""
    messages, html_stream = messages_of(text, size, 2)
    assert rebuilt(messages[:-1]) == [*html_stream.blocks, html_stream.tail]
    whole = utf16_safe(to_html(text)) if text else ""
    assert "".join(rebuilt(messages)) == whole


def test_a_step_renders_a_limited_part_of_what_came() -> None:
    """The next steps render the rest."""
    accumulator, html_stream = ReplyAccumulator("aeronpay"), HtmlStream()
    accumulator.add([Chunk("A sentence.\n\n", number + 2, "m") for number in range(MAX_STEP // 4)])
    added = []
    while (message := html_stream.step(accumulator)) is not None:
        added.append(len(message["add"]))
    assert len(added) > 3
    assert max(added) < 2 * MAX_STEP
    assert html_stream.end(accumulator.reply())["html"] == ""


def test_blocks_that_were_not_cut_inside_stay() -> None:
    """At the end nothing is sent again where every piece ended with a block."""
    messages, html_stream = messages_of(CASES["paragraphs"], 7, 3)
    assert len(html_stream.blocks) > 2
    kept = len([*html_stream.blocks, html_stream.tail])
    assert messages[-1]["patch"] == {"keep": kept, "keep_last": 0, "html": ""}


@given(st.text(max_size=60), st.text(max_size=60))
def test_difference(old: str, new: str) -> None:
    """The change leads from one to the other, and keeps both ends as far as they agree."""
    at, drop, add = splice(old, new)
    assert old[:at] + add + old[at + drop :] == new
    assert not (add and drop and (add[0] == old[at] or add[-1] == old[at + drop - 1]))


def test_lengths_are_those_of_a_browser() -> None:
    """No character of what is sent counts twice in UTF-16."""
    html = utf16_safe("<p>😀 ä €</p>")
    assert len(html.encode("utf-16-le")) == 2 * len(html)
    assert html == "<p>&#128512; ä €</p>"


def test_a_status_text_is_sent_without_a_chunk() -> None:
    """What the service does meanwhile changes nothing of the text."""
    accumulator, html_stream = ReplyAccumulator("aeronpay"), HtmlStream()
    accumulator.add([Recovering("The stream was lost", 119.5)])
    message = html_stream.step(accumulator)
    assert message is not None
    assert (message["notice"], message["add"]) == (
        "The stream was lost; waiting for the reply, at most 120 s …",
        "",
    )
    assert html_stream.step(accumulator) is None


def test_a_tail_that_never_closes_stays_short() -> None:
    """A code block without an end costs the same for each step, not more and more."""
    _, html_stream = messages_of("```\n" + "a line of code\n" * 5_000, 400, 1)
    assert len(html_stream.tail) < 4_000
    accumulator = ReplyAccumulator("aeronpay")

    def step() -> None:
        accumulator.add([Chunk("more", 2, "m")])
        html_stream.step(accumulator)

    assert least_cpu(step, 0.05) < 0.05
