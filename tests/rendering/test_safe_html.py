"""Links whose text names another host, and very long paragraphs."""

from __future__ import annotations

import re

import pytest

from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.rendering.mimebundle import to_markdown
from aeron_magic.rendering.safe_html import foreign_host, to_html


@pytest.mark.parametrize(
    ("shown", "url", "host"),
    [
        ("https://good.example", "https://evil.example/x", "evil.example"),
        ("good.example.", "https://evil.example", "evil.example"),
        ("good\u200b.exa\u00admple", "https://evil.example", "evil.example"),
        ("\uff47ood\uff0eexample", "https://evil.example", "evil.example"),
        ("https://good.example@evil.example", "https://good.example@evil.example", "evil.example"),
        ("me@good.example", "mailto:you@evil.example", "evil.example"),
        ("good.example and evil.example", "https://evil.example", "evil.example"),
        ("a.b.c.d.e.f.g.h.i.j.k.good.example", "https://evil.example", "evil.example"),
        ("good\u3002example", "https://evil.example", "evil.example"),
        ("http://10.0.0.1/admin", "https://evil.example", "evil.example"),
        ("10.0.0.1:8080", "https://evil.example", "evil.example"),
        ("localhost:8888", "https://evil.example", "evil.example"),
        ("http://[::1]:8888/lab", "https://evil.example", "evil.example"),
        ("http://[::1]:8888/lab", "http://[::1]:8888/lab", ""),
        ("[Fd07::1]", "https://evil.example", "evil.example"),
        ("x[1:2], see [1]", "https://good.example", ""),
        ("http://intranet/", "https://evil.example", "evil.example"),
        ("http://localhost:8888/lab", "http://localhost:8888/lab", ""),
        ("https://10.0.0.1:80/x", "https://10.0.0.1:80/x", ""),
        ("section 1.2.3, 1.2.3.4.5", "https://good.example/x", ""),
        ("www.good.example", "https://good.example/x", ""),
        ("good.example", "https://www.good.example/x", ""),
        ("the page, 1.5 or e.g. this", "https://good.example/x", ""),
        ("", "https://good.example", ""),
        ("me@good.example", "mailto:me@good.example", ""),
    ],
)
def test_a_link_names_its_host_if_its_text_names_another(shown: str, url: str, host: str) -> None:
    assert foreign_host(shown, url) == host


@pytest.mark.parametrize(("length", "shown"), [(9_000, "<em>b</em>"), (10_001, "*b*")])
def test_a_very_long_paragraph_is_plain_text(length: int, shown: str) -> None:
    """Some of its text would take quadratic time, such as many ``<sub>`` without an end."""
    assert f" {shown}</p>" in to_html(f"{'a ' * (length // 2)}*b*")


@pytest.mark.parametrize(
    "markdown",
    [
        "a&#8238;b&rlm;&#12;",
        "**&#x202E;x**",
        "![&#8238;x](https://a.example/x)",
        "[&#8296;x](https://a.example)",
        "| &#8238;a |\n|---|\n| &lrm;b |",
        "# &#8238;x",
    ],
)
def test_a_character_reference_is_no_way_for_control_characters(markdown: str) -> None:
    """They could show a line in another order."""
    for shown in (to_html(markdown), to_markdown(markdown)):
        assert strip_control_sequences(shown) == shown


LONG_WORD = "https://a.example/" + "x" * 80


@pytest.mark.parametrize(
    ("markdown", "count"),
    [
        (f"one {LONG_WORD}\n\ntwo", 1),
        (f"# {LONG_WORD}", 1),
        (f"- one\n- two\n  1. {LONG_WORD}\n- {LONG_WORD}", 1),
        (f"> one\n>\n> {LONG_WORD}", 1),
        (f"שלום {LONG_WORD}", 1),
        (f"| a |\n|---|\n| {LONG_WORD} |", 0),
        (f"```\n{LONG_WORD}\n```", 0),
        ("word " * 100, 0),
        ("文字" * 100, 0),
    ],
)
def test_a_long_word_wraps(markdown: str, count: int) -> None:
    """Tables and code scroll by themselves; the outermost element has the style."""
    html = to_html(markdown)
    assert html.count("overflow-wrap:break-word") == count
    assert not count or "overflow-wrap:break-word" in html.partition(">")[0]


@pytest.mark.parametrize("fence", ["```", "```python", "* a\n\n  ```sh\n"])
def test_a_code_block_that_was_stopped_before_its_first_line_is_not_shown(fence: str) -> None:
    """It is while more may come, and if it is empty on purpose."""
    text = f"Here it is:\n\n{fence}"
    assert "<pre" not in to_html(text)
    assert "<pre" not in to_html(f"{text}\n")
    assert "<pre" in to_html(text, streaming=True)
    assert "<pre" in to_html(f"{text}\nx")
    assert "<pre" in to_html("```\n```")


@pytest.mark.parametrize("streaming", [False, True])
def test_an_indented_code_block_at_the_end_is_one(streaming: bool) -> None:
    html = to_html("**a**\n\n    x = 1", streaming=streaming)
    assert "<strong>a</strong>" in html
    assert "x = 1</code>" in html


def test_code_is_not_broken_after_a_hyphen_or_a_backslash() -> None:
    """The next character is joined to it; code that can be longer than a line wraps elsewhere."""
    html = to_html(r"`%aeron check --at-most 5 -`, --at-most `C:\<a>`")
    joined = re.findall('<span style="white-space:nowrap">(.+?)</span>', html)
    assert joined == ["--a", "-m", r"\&lt;"]
    assert "overflow-wrap" not in html
    assert '<code style="overflow-wrap:break-word">a' in to_html(f"`a-{'b' * 30}`")
    assert "<span" not in to_html("`a b`")


@pytest.mark.parametrize("field", ["attach", "Attachment", "%61ttach"])
def test_a_mail_that_attaches_a_file_is_no_link(field: str) -> None:
    for before in ("?subject=x&", "%3F", "#?"):
        html = to_html(f"[mail](mailto:a@b.example{before}{field}=/etc/passwd)")
        assert "<a " not in html
        assert "mailto:a@b.example" in html
    assert "<a " in to_html(f"[mail](mailto:{field}@b.example)")
    assert "<a " in to_html("[mail](mailto:a@b.example?subject=x&body=y)")
