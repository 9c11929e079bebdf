"""Hostile text: the fast part of the campaign, and the entries that it grew from."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest.mock import Mock

import pytest
from hostile_text import SURFACES, VECTORS, run_surface

from aeron_magic.conversations.export import as_markdown
from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.errors import ReplyFormatError
from aeron_magic.jupyter.display.live import LiveOutput
from aeron_magic.jupyter.panel.transcript import bundle
from aeron_magic.jupyter.panel.turn_views import HtmlStream
from aeron_magic.markdown_text import code_span, escape_markdown
from aeron_magic.protocol.events import Chunk, Recovering
from aeron_magic.rendering import highlighting
from aeron_magic.rendering.mimebundle import mimebundle, to_markdown
from aeron_magic.rendering.safe_html import CODE_STYLE, to_html
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.extract import code_blocks, extract_json
from aeron_magic.replies.reply import Reply
from aeron_magic.replies.tables import tables

pytestmark = pytest.mark.campaign

IMAGE = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize("surface", SURFACES)
def test_nothing_hostile_is_active(surface: str) -> None:
    outcome = run_surface(surface, VECTORS[len(surface) % 6 :: 6])
    assert outcome.shown
    assert not outcome.examples


def test_the_reason_of_a_lost_stream_is_text() -> None:
    shown: list[str] = []

    def take(*, data: Any, **_: Any) -> None:
        shown.append(data["text/html"])

    output, accumulator = LiveOutput(take), ReplyAccumulator()
    accumulator.add([Chunk("so far"), Recovering(f"bad chunk size {IMAGE}\n\x1b[2J")])
    output.render(accumulator)
    assert "<img" not in shown[-1]
    assert "bad chunk size &lt;img" in shown[-1]
    output.waiting(IMAGE)
    assert "<img" not in shown[-1]


def test_names_in_a_transcript_are_text() -> None:
    tree = ConversationTree("main", IMAGE)
    turn = tree.complete(tree.start(tree.at_head(), "q", now=1.0), Reply("a", context_token="t"))
    assert turn is not None
    turn.name = IMAGE
    data = bundle(tree, tree.turns)
    assert "<img" not in data["text/html"]
    assert "<img" not in data["text/markdown"]


def test_a_name_stays_on_its_line_in_an_export() -> None:
    tree = ConversationTree(f"a\n\n{IMAGE} {{: onclick=alert(1) }}", "aeronpay")
    tree.complete(
        tree.start(tree.at_head(), "q", images=[f"https://x>\n{IMAGE}"], now=1.0),
        Reply("a", context_token="t"),
    )
    text = as_markdown(tree)
    assert "<img" not in text
    assert "{" not in text.splitlines()[0]


@pytest.mark.parametrize("text", ["<b>&amp;", "a_b*c`d", "{: x=y }", "![a](b)", "\x1b[2Jx"])
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    from html import unescape
    from re import sub

    shown = sub("<[^>]*>", "", to_html(escape_markdown(text)))
    assert unescape(shown).strip() == text.replace("\x1b[2J", "")
    assert sub("<[^>]*>", "", to_html(code_span(text))) == shown


@pytest.mark.parametrize("error", [LookupError("no lexer"), RecursionError(), TypeError()])
def test_code_without_a_lexer_is_plain(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """An older Pygments does not know every name."""

    def fail(_language: str) -> Any:
        raise error

    monkeypatch.setattr(highlighting, "_lexer", fail)
    text = "```yml\na: <b>\n```\n"
    code = "a: &lt;b&gt;</code></pre></figure>\n"
    pre = '<figure class="highlight"><pre style="overflow-x:auto">'
    expected = f'{pre}<code style="{CODE_STYLE}">{code}'
    assert mimebundle(text)["text/html"] == expected
    assert mimebundle(text, format="code")["text/html"] == expected


@pytest.mark.parametrize("part", ["parse", "renderer.render"])
def test_a_reply_that_the_parser_cannot_read_is_shown_as_code(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> str:
        raise RecursionError

    monkeypatch.setattr(f"aeron_magic.rendering.safe_html._PARSER.{part}", fail)
    assert "># a &lt;b&gt;</code>" in to_html("# a <b>")


@pytest.mark.parametrize("text", ["#\n" * 60_000, "*a* " * 200_000], ids=["lines", "characters"])
def test_a_text_that_would_fill_the_memory_is_shown_as_it_is(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte of the shortest headings takes a gigabyte and half a minute."""
    parser = Mock()
    monkeypatch.setattr("aeron_magic.rendering.safe_html._PARSER", parser)
    shown = mimebundle(text)
    assert not parser.mock_calls
    assert shown["text/html"].startswith('<figure class="highlight"><pre')
    assert shown["text/markdown"].startswith("```\n")
    assert shown["text/plain"] == text


# Time ---------------------------------------------------------------------------------------------


def _panel(text: str) -> None:
    accumulator, stream = ReplyAccumulator(), HtmlStream()
    accumulator.add([Chunk(text)])
    stream.step(accumulator)
    stream.end(accumulator.reply())


def _json(text: str) -> None:
    with suppress(ReplyFormatError):
        extract_json(text)


PIPELINES: dict[str, Callable[[str], object]] = {
    "HTML": to_html,
    "Markdown": to_markdown,
    "panel": _panel,
    "code": code_blocks,
    "tables": tables,
    "JSON": _json,
}


def _nested(command: str, length: int) -> str:
    return f"\\{command}{{matrix}}" * (length // 28)


SHAPES: dict[str, Callable[[int], str]] = {
    "tildes": lambda n: "~" * n,
    "bangs": lambda n: "!" * n + "<b>",
    "ticks": lambda n: "".join("`" * k + " " for k in range(int((2 * n) ** 0.5))),
    "dashes": lambda n: f"| a |\n|{' - ' * (n // 3)}",
    "cells": lambda n: "| a | b |\n|---|---|\n" + "|" * n,
    "math": lambda n: f"$$\nx\n$${' ' * n}a",
    "environments": lambda n: f"$${_nested('begin', n)}x{_nested('end', n)}$$",
    "open math": lambda n: "\\[\n" * (n // 3),
    "info": lambda n: f"```{' a' * (n // 2)}\n<b>\n```",
    "fences": lambda n: "~~~\n" * (n // 4),
    "lists": lambda n: "\n".join("  " * k + "- a" for k in range(int(n**0.5))),
    "quotations": lambda n: "> " * (n // 2) + "<b>",
    "brackets": lambda n: "[" * n + "](" * 9,
    "links": lambda n: "[a](" * (n // 4),
    "targets": lambda n: "](https://x.example" * (n // 19),
    "emphasis": lambda n: "*a_" * (n // 3),
    "braces": lambda n: "{" * n + "ab=",
    "tags": lambda n: "<a " * (n // 3),
    "backslashes": lambda n: "\\" * n + "<",
    "JSON": lambda n: '{"a":' * (n // 5),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_reply_of_any_shape_takes_linear_time(shape: str) -> None:
    """Paragraphs are limited, so the factor of four in length is at most about that in time."""

    def seconds(run: Callable[[str], object], length: int) -> float:
        text = SHAPES[shape](length)
        began = time.process_time()
        run(text)
        return time.process_time() - began

    for name, run in PIPELINES.items():
        large = seconds(run, 32_000)
        if large > 0.3:
            small = min(seconds(run, 8_000) for _ in range(2))
            assert min(large, seconds(run, 32_000)) < 9 * max(small, 0.02), name
