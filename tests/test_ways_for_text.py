"""Text from outside enters HTML in one way: as an argument of ``Markup.format``.

mypy proves that what is published as HTML is ``Markup``. These tests find what mypy cannot: strings
that become ``Markup`` unescaped, HTML that is put together from strings, and, in the panel's
script, places where a string becomes elements.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import aeron_magic

PACKAGE = Path(aeron_magic.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "sandbox" not in path.parts)
SCRIPTS = sorted((PACKAGE / "jupyter" / "panel" / "static").glob("*.js"))

UNESCAPED = {
    "jupyter/panel/turn_views.py": 1,
    "rendering/highlighting.py": 2,
    "rendering/incremental.py": 1,
    "rendering/safe_html.py": 1,
    "replies/tex_math.py": 1,
}
"""The numbers of strings that become ``Markup`` as they are, each with its reason beside it."""

HTML = re.compile(
    r"</?(a|b|i|p|br|hr|h\d|em|strong|small|code|pre|span|div|figure|img|table|t[rhd]|ul|ol|li|svg"
    r"|details|summary|blockquote|button|input|form|iframe|script|style|link|object|embed)\b",
    re.IGNORECASE,
)

SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\s*\.\s*write|srcdoc|DOMParser|setHTML\w*"
    r"|createContextualFragment|\beval\b|new\s+Function|javascript:|\bon\w+\s*=\s*\\?[\"'`]"
    r"|\.on[a-z]+\s*=[^=]|import\s*\("
)


def calls_of_markup(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Markup":
            yield node


def is_constant(call: ast.Call) -> bool:
    return all(isinstance(argument, ast.Constant) for argument in call.args)


def unescaped(source: str) -> list[int]:
    """The lines on which something that is not a constant becomes ``Markup``."""
    tree = ast.parse(source)
    made = [call.lineno for call in calls_of_markup(tree) if not is_constant(call)]
    declared = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "cast"
        and "Markup" in ast.unparse(node.args[0])
    ]
    return made + declared


def built_from_strings(source: str) -> list[int]:
    """The lines on which HTML is put together with an f-string, ``+``, ``%``, format or join."""
    tree = ast.parse(source)
    safe = {id(call.args[0]) for call in calls_of_markup(tree) if call.args and is_constant(call)}
    found = []
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.JoinedStr):
            parts = node.values
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
            parts = [node.left, node.right]
        elif isinstance(node, ast.AugAssign):
            parts = [node.value]
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"format", "format_map", "join", "replace"}
        ):
            parts = [node.func.value, *node.args]
        for part in parts:
            inner = part.elts if isinstance(part, ast.List | ast.Tuple) else [part]
            texts = [one for one in inner if isinstance(one, ast.Constant) and id(one) not in safe]
            found += [node.lineno for one in texts if HTML.search(str(one.value))]
    return found


@pytest.mark.parametrize(
    "source",
    [
        'f"<p>{x}</p>"',
        'a = "<p>" + x',
        'a += "<br>"',
        '"<em>%s</em>" % x',
        '"<li>{}".format(x)',
        '"<br>".join(x)',
        '"".join(["<p>", x])',
        'Markup(f"<p>{x}")',
    ],
)
def test_html_from_strings_is_found(source: str) -> None:
    assert built_from_strings(source)


def test_unescaped_markup_is_found() -> None:
    assert unescaped("Markup(x)") == unescaped("cast(Markup, x)") == [1]
    assert unescaped('Markup("<p>{}").format(x)') == []
    assert built_from_strings('Markup("<p>{}").format(x)') == []


def test_strings_become_markup_in_known_places_only() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): len(lines)
        for path in MODULES
        if (lines := unescaped(path.read_text("utf-8")))
    }
    assert found == UNESCAPED


def test_html_is_not_put_together_from_strings() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in MODULES
        if (lines := built_from_strings(path.read_text("utf-8")))
    }
    # A token of code is escaped where it gets its element; a line end in a prompt's table is text.
    assert set(found) <= {"rendering/highlighting.py", "prompts/values.py"}
    assert len(set(found.get("rendering/highlighting.py", ()))) <= 1


def test_the_panel_makes_elements_from_strings_in_one_place() -> None:
    """That is HTML which the kernel sanitized; everything else is set as text."""
    found = [
        (path.name, match[0])
        for path in SCRIPTS
        for line in path.read_text("utf-8").splitlines()
        if (match := SINKS.search(line))
    ]
    assert found == [("dom.js", "innerHTML")]


def test_the_panel_calls_that_place_with_blocks_and_the_tail_only() -> None:
    calls = [
        (path.name, match[1])
        for path in SCRIPTS
        for match in re.finditer(r"(?<!function )fillHtml\(([^)]*)\)", path.read_text("utf-8"))
    ]
    assert calls == [("blocks.js", "block, html"), ("blocks.js", "tail, html")]


@pytest.mark.parametrize(
    "line",
    [
        "node.innerHTML = html;",
        'document.write("x")',
        "frame.srcdoc = html",
        "new DOMParser()",
        "button.onclick = run;",
        'element("<a onclick=\\"x\\">")',
        "node.insertAdjacentHTML('beforeend', x)",
    ],
)
def test_sinks_are_found(line: str) -> None:
    assert SINKS.search(line)
