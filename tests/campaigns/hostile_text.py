# ruff: noqa: E501
"""Hostile text on every surface: no script, no foreign request, no overlay.

At least 450 texts, each on 9 surfaces: cell outputs, live outputs, notices and names, errors, the
panel, transcripts, tables of the history, exports in seven Markdown renderers, and recordings. The
HTML is parsed as a browser does, and may contain only what the package itself makes. ``--browser``
also loads it into Chromium, one page for each surface, and counts scripts, requests and overlays;
then JupyterLab opens notebooks with these outputs, not trusted and trusted, with its table of
contents.

    python tests/campaigns/hostile_text.py [--quick] [--browser] [--seed N]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import urlsplit

import html5lib

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from records import make_record

from aeron_magic.conversations.export import as_markdown, as_notebook
from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.errors import RecordingError, ServiceError
from aeron_magic.jupyter.display import publish as displays
from aeron_magic.jupyter.display.live import LiveOutput
from aeron_magic.jupyter.display.tables import tree_text, turns_table
from aeron_magic.jupyter.panel.transcript import bundle
from aeron_magic.jupyter.panel.turn_views import HtmlStream, TreeIndex, turn_views
from aeron_magic.protocol.events import Chunk, Recovering, Started
from aeron_magic.recording.flows import replay_flow
from aeron_magic.recording.record import Record
from aeron_magic.rendering.mimebundle import mimebundle
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply

HOST = "https://evil.example"
VECTORS = [
    "<script>alert(1)</script>",
    f"<script src={HOST}/x.js></script>",
    "<ScRiPt\n>alert(1)</sCrIpT\n>",
    "<img src=x onerror=alert(1)>",
    f"<img src={HOST}/x.png>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg/onload=alert(1)//",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    f"<svg><use href={HOST}/x.svg#a>",
    f"<svg><image href={HOST}/x.png>",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    '<math href="javascript:alert(1)">x</math>',
    '<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    f"<iframe src={HOST}></iframe>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    f"<object data={HOST}></object>",
    f"<embed src={HOST}>",
    f"<link rel=stylesheet href={HOST}/x.css>",
    f"<style>@import '{HOST}/x.css';</style>",
    "<style>*{position:fixed;inset:0;z-index:99999;background:red}</style>",
    '<div style="position:fixed;inset:0;z-index:99999;background:red">x</div>',
    f'<p style="background:url({HOST}/x.png)">x</p>',
    f"<base href={HOST}/>",
    f'<meta http-equiv=refresh content="0;url={HOST}">',
    f"<form action={HOST}><button>x</button></form><input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>x</details>",
    "<video><source onerror=alert(1)></video>",
    f"<audio src={HOST}/x.mp3 autoplay></audio>",
    "<body onload=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    '<button data-commandlinker-command="notebook:run-all-cells">x</button>',
    "<http://x onclick=alert(1) autofocus tabindex=1 onfocus=alert(1)>",
    "<xss onpointerenter=alert(1) style=position:fixed;inset:0>x</xss>",
    "<template><script>alert(1)</script></template>",
    "<textarea><img src=x onerror=alert(1)></textarea><img src=x onerror=alert(1)>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?xml-stylesheet href='x'?><img src=x onerror=alert(1)>",
    "</pre></code></div><script>alert(1)</script>",
    "</summary></details><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt&colon;alert(1))",
    "[a](&#106;avascript:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a]( javascript:alert(1) )",
    "[a](<javascript:alert(1)>)",
    "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[a](vbscript:msgbox(1))",
    "[a](file:///etc/passwd)",
    "[a][b]\n\n[b]: javascript:alert(1)",
    "[b]\n\n[b]:\n  javascript:alert(1)",
    "[a]: javascript:alert(1) 'x'\n[a]",
    "<javascript:alert(1)>",
    f"![a]({HOST}/x.png)",
    f"![a][i]\n\n[i]: {HOST}/x.png",
    '![a](x"onerror="alert(1))',
    f'[a]({HOST} "x\\" onmouseover=\\"alert(1)")',
    f'[a]({HOST}"onmouseover="alert(1))',
    f"[https://good.example]({HOST})",
    f"[![x](javascript:alert(1))]({HOST})",
    "# x {: onclick=alert(1) style=position:fixed;inset:0 }",
    "*x*{onclick=alert(1) onpointerenter=alert(1)}",
    "x\n{: onclick=alert(1) }",
    "```{raw} html\n<script>alert(1)</script>\n```",
    "```html\n<script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n```",
    "````\n```\n<script>alert(1)</script>\n```\n\n<img src=x onerror=alert(1)>\n````",
    "```html onclick=x a`b\n\n<script>alert(1)</script>\n\n```",
    "~~~ html\n<script>alert(1)</script>\n~~~~~\n<img src=x onerror=alert(1)>",
    "- a\n\n  ```html\n  <script>alert(1)</script>\n\n  <img src=x onerror=alert(1)>\n  ```",
    "> ```\n> <script>alert(1)</script>\n> ```\n> <img src=x onerror=alert(1)>",
    "    <script>alert(1)</script>\n\n    <img src=x onerror=alert(1)>",
    "- a\n\n      <script>alert(1)</script>",
    "``a` <img src=x onerror=alert(1)> `b`",
    "`a\n<script>alert(1)</script>\n`",
    "| `a | <img src=x onerror=alert(1)>` |\n|---|---|",
    "\\`<img src=x onerror=alert(1)>`",
    "`<!--` <img src=x onerror=alert(1)> `-->`",
    "https://x\\<script>alert(1)</script>",
    "https://x.example/<img src=x onerror=alert(1)>",
    "\\<script>alert(1)\\</script>",
    "\\\\<script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62;",
    "$\\href{javascript:alert(1)}{x}$ $$\\style{position:fixed;inset:0}{x}$$",
    "$\\smash{\\raise 9em{x}}$ $\\bbox[position:fixed;inset:0;background:red]{x}$",
    "$\\hbox{\\BVerbatimInput{/etc/passwd}}$ $\\PushButton[onclick={app.alert(1)}]{x}$",
    "$</span><img src=x onerror=alert(1)>$ \\(\\class{jp-Dialog}{x}\\)",
    "\\begin{align}</div><iframe src=javascript:alert(1)>\\end{align}",
    "\x1b]8;;javascript:alert(1)\x07x\x1b]8;;\x07 \x1b[2J\x9b31m \x1b]0;t\x07\x00",
    "\u202e<script>\u202calert(1)\u2066</script>\u2069",
    "\ud83d<script>alert(1)</script>\udc00",
    '{"cells":[{"cell_type":"code","source":"!touch x","outputs":[{"data":{"text/html":"<script>alert(1)</script>"}}]}]}',
    "1\r\n<img src=x onerror=alert(1)>\r\n0\r\n\r\n",
    "%%javascript\nalert(1)",
    "'\"`--><img src=x onerror=alert(1)>",
    "a\n---\n\n<style>body{display:none}</style>",
    '[x]: # "<img src=x onerror=alert(1)>"',
    "*[a]: <img src=x onerror=alert(1)>\n\na",
    "[^1]\n\n[^1]: <img src=x onerror=alert(1)>",
]
CONTEXTS: dict[str, Callable[[str], str]] = {
    "link text": lambda text: f"[{text}](https://good.example)",
    "table": lambda text: f"| a | b |\n|---|---|\n| {' '.join(text.split())} | `x` |",
    "list": lambda text: "- a\n- " + text.replace("\n", "\n  "),
    "quotation": lambda text: "> " + text.replace("\n", "\n> "),
    "emphasis": lambda text: f"**{text}** *a{text}a*",
    "code span": lambda text: f"`{text}` and ``{text}``",
    "code": lambda text: f"```html\n{text}\n```\n\nafter",
    "after code": lambda text: f"```\nx\n````\n\n{text}",
    "heading": lambda text: f"# {text}\n{text}\n===",
    "broken fence": lambda text: f"a\n```\n{text}",
    "paragraphs": lambda text: f"a\n\n{text}\n\n\n{text}",
}


def payloads(count: int, seed: int) -> list[str]:
    """The vectors alone, then in contexts."""
    chance = random.Random(seed)
    found = list(VECTORS)
    names = list(CONTEXTS)
    while len(found) < count:
        found.append(CONTEXTS[chance.choice(names)](chance.choice(VECTORS)))
    return found[:count]


# The surfaces: each yields the HTML, and the texts of terminals and errors --------------------------


class Shown(NamedTuple):
    """What a reader gets: HTML of ours, HTML of a Markdown renderer, or text."""

    kind: str
    text: str


def _tree(text: str) -> ConversationTree:
    tree = ConversationTree(text, "aeronpay")
    first = tree.start(tree.at_head(), text, now=1.0)
    turn = tree.complete(first, Reply(text, context_token=text, msg_id=text))
    for named in (turn, *tree.turns):
        if named is not None:
            named.name = text
    tree.complete(tree.start(tree.at_head(), text, now=2.0), Reply(text, status="incomplete"))
    return tree


def _published(data: Any) -> Iterator[Shown]:
    yield Shown("html", str(data["text/html"]))
    yield Shown("text", data["text/plain"])
    if "text/markdown" in data:
        yield Shown("markdown", data["text/markdown"])


def cells(text: str) -> Iterator[Shown]:
    """Outputs of cells in each format, with a note."""
    yield from _published(mimebundle(text, note=text))
    yield from _published(mimebundle(text, format="text"))
    yield from _published(mimebundle(json.dumps([text]), format="json"))
    yield from _published(mimebundle(f"~~~~~{text[:9]}\n{text}\n~~~~~", format="code"))


def _live(accumulator: ReplyAccumulator, steps: list[list[Any]]) -> Iterator[Shown]:
    shown: list[Shown] = []

    def take(*, data: Any, **_: Any) -> None:
        shown.append(Shown("html", str(data["text/html"])))

    outputs = [LiveOutput(take, clear=lambda: None), LiveOutput(take)]
    for output in outputs:
        output.waiting("x")
    for events in steps:
        accumulator.add(events)
        for output in outputs:
            output.render(accumulator)
    for output in outputs:
        output.finish(accumulator, accumulator.reply(status="incomplete"), {})
    yield from shown


def live(text: str) -> Iterator[Shown]:
    """Live outputs, in pieces of seven characters."""
    pieces = [[Chunk(text[at : at + 7])] for at in range(0, len(text), 7)]
    yield from _live(ReplyAccumulator(), [*pieces, [Chunk(f"\n\n{'word ' * 300}\n\n{text}")]])


def notices(text: str) -> Iterator[Shown]:
    """Reasons of a lost stream, labels and notes."""
    yield from _live(ReplyAccumulator(), [[Chunk("x")], [Recovering(text)]])
    shown: list[Shown] = []
    output = LiveOutput(lambda *, data, **_: shown.append(Shown("html", str(data["text/html"]))))
    output.waiting(text)
    yield from shown


def errors(text: str) -> Iterator[Shown]:
    """The lines of an error."""
    error = ServiceError(
        text, hint=text, service_message=text, context_token=text, partial=text, status_code=500
    )
    yield from (Shown("error", line) for line in error.lines(partial_limit=None))


def panel(text: str) -> Iterator[Shown]:
    """Turns of the panel and a growing reply; names are set as text."""
    tree = _tree(text)
    for view in turn_views(TreeIndex(tree), tree.turns):
        yield from (Shown("html", str(block)) for block in view["blocks"])
        yield from (Shown("text", view[name]) for name in ("label", "question", "speaker"))
    accumulator, stream = ReplyAccumulator(), HtmlStream()
    for at in range(0, len(text), 7):
        accumulator.add([Chunk(text[at : at + 7])])
        stream.step(accumulator)
        yield Shown("html", "".join([*stream.blocks, stream.tail]))
    accumulator.add([Recovering(text)])
    stream.step(accumulator)
    yield Shown("text", stream.status_text)


def transcripts(text: str) -> Iterator[Shown]:
    """What the notebook stores of a panel; the service's name is from a history, too."""
    tree = _tree(text)
    yield from _published(bundle(tree, tree.turns))
    foreign = ConversationTree(text, text)
    foreign.complete(
        foreign.start(foreign.at_head(), text, now=1.0), Reply(text, context_token="t")
    )
    yield from _published(bundle(foreign, foreign.turns))


def tables(text: str) -> Iterator[Shown]:
    """Tables and trees of the history."""
    tree = _tree(text)
    shown: list[Any] = []
    with (
        mock.patch.object(displays, "publish", lambda *, data, metadata: shown.append(data)),
        mock.patch.object(displays, "has_kernel", return_value=True),
    ):
        displays.show(
            None, turns_table(tree, tree.turns, set()), displays.Verbatim(tree_text(tree))
        )
    for data in shown:
        yield from _published(data)


def exports(text: str) -> Iterator[Shown]:
    """Exported Markdown and notebooks."""
    tree = _tree(text)
    yield Shown("markdown", as_markdown(tree))
    for cell in as_notebook(tree)["cells"]:
        if cell["cell_type"] == "markdown":
            yield Shown("markdown", "".join(cell["source"]))
        for output in cell.get("outputs", ()):
            yield Shown("html", "".join(output["data"]["text/html"]))


def recordings(text: str) -> Iterator[Shown]:
    """A replayed recording."""
    events: list[list[Any]] = [[0, {"event": "recovering", "reason": text}], [0, text]]
    record = make_record("aeronpay", "q", *events)
    try:
        record = Record.from_line(record.to_json_line())
    except RecordingError:  # a line that is not JSON, since a surrogate lacks its other half
        return
    steps = [step for step in replay_flow(record, speed=0) if isinstance(step, list)]
    yield from _live(ReplyAccumulator(), [[Started("t")], *steps])


SURFACES = {
    one.__name__: one
    for one in (cells, live, notices, errors, panel, transcripts, tables, exports, recordings)
}


# Renderers of Markdown, as permissive as they get --------------------------------------------------


def renderers() -> dict[str, Callable[[str], str]]:
    """Renderers of Markdown that accept raw HTML."""
    import cmarkgfm
    import commonmark
    import markdown
    import markdown2
    import mistletoe
    import mistune
    from cmarkgfm.cmark import Options
    from markdown_it import MarkdownIt

    trusting = MarkdownIt("js-default", {"html": True, "linkify": True})
    trusting.validateLink = lambda _: True  # type: ignore[method-assign]
    flags = {"options": Options.CMARK_OPT_UNSAFE}
    return {
        "markdown-it": trusting.render,
        "Python-Markdown": lambda text: markdown.markdown(text, extensions=["extra", "toc"]),
        "mistune": mistune.create_markdown(escape=False, plugins=["table", "url", "footnotes"]),  # type: ignore[dict-item]
        "commonmark": commonmark.commonmark,
        "cmark-gfm": lambda text: cmarkgfm.github_flavored_markdown_to_html(text, **flags),
        "markdown2": lambda text: markdown2.markdown(text, extras=["fenced-code-blocks", "tables"]),
        "mistletoe": mistletoe.markdown,
    }


# What is allowed -----------------------------------------------------------------------------------

_OURS = """
p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s del a small details summary
sub sup kbd
table thead tbody tr th td span div figure
"""
_THEIRS = "section i b dl dt dd html body head abbr input"
OURS, RENDERED = {*_OURS.split()}, {*_OURS.split(), *_THEIRS.split()}
ATTRIBUTES = {
    "href",
    "rel",
    "class",
    "start",
    "style",
    "id",
    "align",
    "title",
    "role",
    "lang",
    "dir",
    "data-cell",
}
_STYLE = re.compile(
    "(?:text-align:[a-z]+;?(?:unicode-bidi:plaintext)?;?)?(?:overflow-wrap:break-word)?"
    "|overflow-x:auto|white-space:pre|white-space:nowrap|overflow-wrap:anywhere;white-space:pre-wrap;word-break:normal"
)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ADDRESS = re.compile(r"(?i)\bdata:\S|\b(?!https?:)[a-z][a-z0-9+.-]{2,20}://\S")


def problems(shown: Shown, *, rendered: bool = False) -> Iterator[str]:
    """What is wrong with something that is shown."""
    if shown.kind in {"text", "error"}:
        if found := _UNPRINTABLE.search(shown.text):
            yield f"control character {found[0]!r}"
        if shown.kind == "error" and (found := _ADDRESS.search(shown.text)):
            yield f"address {found[0]!r}"
        return
    for element in html5lib.parseFragment(shown.text, namespaceHTMLElements=False).iter():
        tag = element.tag if isinstance(element.tag, str) else "comment"
        if tag not in (RENDERED if rendered else OURS) and tag != "DOCUMENT_FRAGMENT":
            yield f"element {tag}"
        for name, value in element.attrib.items():
            if (name not in ATTRIBUTES and not rendered) or str(name).startswith("on"):
                yield f"attribute {name}"
            scheme = urlsplit(value.strip()).scheme.lower() if name == "href" else ""
            if scheme not in {"", "http", "https", "mailto"}:
                yield f"address {value[:40]!r}"
            if name == "data-cell" and value not in {"bash", "session", "raw"}:
                yield f"cell {value[:40]!r}"
            if name == "style" and not _STYLE.fullmatch(value.replace(" ", "")):
                yield f"style {value[:40]!r}"
            if name in {"src", "srcdoc", "action", "formaction", "background", "data", "poster"}:
                yield f"attribute {name}"


class Outcome(NamedTuple):
    """The counts of one surface; ``violations`` must be 0."""

    surface: str
    texts: int
    shown: int
    violations: int
    examples: list[str]
    pages: list[str]


def run_surface(name: str, texts: list[str]) -> Outcome:
    """Show each text on the surface ``name``."""
    shown = violations = 0
    examples: list[str] = []
    pages: list[str] = []
    by_renderer = renderers() if name in {"exports", "transcripts", "cells"} else {}
    for text in texts:
        for one in SURFACES[name](text):
            if one.kind == "markdown":
                results = [
                    (kind, Shown("html", render(one.text)))
                    for kind, render in (by_renderer or renderers()).items()
                ]
            else:
                results = [("", one)]
            for renderer, result in results:
                shown += 1
                pages += [result.text] if result.kind == "html" else []
                found = list(problems(result, rendered=bool(renderer)))
                violations += len(found)
                if found and len(examples) < 5:
                    examples.append(f"{renderer} {found[0]}: {text!r} → {result.text[:300]!r}")
    return Outcome(name, len(texts), shown, violations, examples, pages)


PAGE = """<!doctype html><meta charset=utf-8><script>
hits = 0; for (const name of ["alert", "prompt", "confirm"]) window[name] = () => { hits += 1; };
</script><body><button id=probe style="position:fixed;top:0;right:0">probe</button><main>"""


def browse(outcome: Outcome) -> tuple[int, int, int]:
    """Scripts that ran, requests, and overlays, in a Chromium that loads all of a surface."""
    from find_browser import FLAGS, find_browser
    from playwright.sync_api import sync_playwright

    requests: list[str] = []
    boxes = "".join(f"<article>{html}</article>\n" for html in dict.fromkeys(outcome.pages))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(FLAGS))
        page = browser.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.route("**/*", lambda route: route.abort())
        page.set_content(PAGE + boxes, wait_until="load", timeout=120_000)
        page.wait_for_timeout(500)
        overlays, hits = page.evaluate(
            """() => {
                const probe = document.getElementById("probe");
                const box = probe.getBoundingClientRect();
                let covered = 0;
                for (let at = 0; at < document.body.scrollHeight; at += innerHeight) {
                    scrollTo(0, at);
                    const seen = document.elementFromPoint(box.x + 5, box.y + 5);
                    covered += seen !== probe;
                }
                return [covered, hits];
            }"""
        )
        browser.close()
    return hits, len(requests), overlays


# JupyterLab ----------------------------------------------------------------------------------------

OUTPUTS = 40
"""Outputs of a cell: JupyterLab shows at most 50."""

TEXTS_OF_A_NOTEBOOK = 50


def saved_notebook(texts: list[str]) -> Any:
    """A notebook with these texts in saved outputs of each kind, and in exported Markdown cells."""
    from nbformat import v4

    bundles: list[dict[str, str]] = []
    cells: list[Any] = []

    def take(*, data: Any, **_: Any) -> None:
        bundles.append({kind: str(text) for kind, text in data.items()})

    outputs = []
    for text in texts:
        take(data=mimebundle(text, note=text))
        take(data={"text/markdown": mimebundle(text)["text/markdown"]})
        take(data=mimebundle(f"~~~~~{text[:9]}\n{text}\n~~~~~", format="code"))
        tree = _tree(text)
        take(data=bundle(tree, tree.turns))
        with (
            mock.patch.object(displays, "publish", take),
            mock.patch.object(displays, "has_kernel", return_value=True),
        ):
            displays.show(
                None, turns_table(tree, tree.turns, set()), displays.Verbatim(tree_text(tree))
            )
        error = ServiceError(text, hint=text, service_message=text, partial=text)
        outputs.append(
            v4.new_output(
                "error",
                ename=type(error).__name__,
                evalue=str(error),
                traceback=error._render_traceback_(),
            )
        )
        exported = as_notebook(tree)["cells"]
        cells += [v4.new_markdown_cell("".join(one["source"])) for one in exported[:1]]
        cells.append(v4.new_markdown_cell(as_markdown(tree)))
    outputs += [v4.new_output("display_data", data) for data in bundles]
    for start in range(0, len(outputs), OUTPUTS):
        cells.append(v4.new_code_cell("", outputs=outputs[start : start + OUTPUTS]))
    made = v4.new_notebook(cells=cells)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    return made


PREPARE = """() => {
    window.hits = 0;
    for (const name of ["alert", "prompt", "confirm"]) window[name] = () => { window.hits += 1; };
}"""
TRUST = """() => {
    for (const cell of jupyterapp.shell.currentWidget.content.model.cells) cell.trusted = true;
}"""
LOOK = """async () => {
    const content = jupyterapp.shell.currentWidget.content;
    const tags = `script iframe object embed link style form input video audio base meta
        template`.split(/\\s+/);
    let overlays = 0, active = 0, rendered = 0;
    for (const [index, cell] of content.widgets.entries()) {
        await content.scrollToItem(index, "start");
        await cell.ready;
        await new Promise(done => setTimeout(done, 60));
        for (const area of cell.node.querySelectorAll(".jp-RenderedHTMLCommon, .jp-RenderedText")) {
            rendered += 1;
            for (const one of area.querySelectorAll("*")) {
                if (one.closest("mjx-container")) continue;
                overlays += ["fixed", "sticky"].includes(getComputedStyle(one).position);
                active += tags.includes(one.localName)
                    || (one.localName === "img" && !one.src.startsWith(location.origin))
                    || (one.localName === "a" && !/^(https?:|mailto:)/i.test(one.href || "https:"))
                    || one.getAttributeNames().some(name => /^on|^srcdoc|^data-command/.test(name));
            }
        }
    }
    const entries = document.querySelectorAll(".jp-tocItem-content").length;
    return [window.hits, overlays, active, rendered, entries];
}"""


class Opened(NamedTuple):
    """What JupyterLab did with a notebook; all but the last two must be 0."""

    scripts: int
    requests: int
    overlays: int
    active: int
    rendered: int
    headings: int


def open_in_lab(lab: Any, notebook: Any) -> Iterator[Opened]:
    """What JupyterLab does with a notebook when it is opened, and when it is trusted.

    ``lab`` is a :class:`notebook_page.NotebookPage`.
    """
    from notebook_page import notebook_of

    lab.open(notebook_of())
    lab.page.evaluate(PREPARE)
    lab.command("toc:show-panel")
    lab.forget()
    lab.open(notebook)
    for step in ("() => null", TRUST):
        lab.page.evaluate(step)
        scripts, overlays, active, rendered, headings = lab.page.evaluate(LOOK)
        own = (lab.site.url, "data:", "blob:")
        foreign = [one for one in lab.requests if not one.startswith(own)]
        yield Opened(scripts, len(foreign), overlays, active, rendered, headings)


def run_campaign(*, quick: bool = False, seed: int = 1) -> Iterator[Outcome]:
    """The outcome of each surface."""
    texts = payloads(len(VECTORS) if quick else 500, seed)
    yield from (run_surface(name, texts) for name in SURFACES)


def run_lab(texts: list[str]) -> Iterator[Opened]:
    """Open notebooks with these texts in JupyterLab."""
    from find_browser import FLAGS, find_browser
    from jupyter_site import running_site
    from notebook_page import NotebookPage
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as home:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(FLAGS))
        with running_site(Path(home)) as site:
            lab = NotebookPage(browser.new_page(), site)
            for start in range(0, len(texts), TEXTS_OF_A_NOTEBOOK):
                part = texts[start : start + TEXTS_OF_A_NOTEBOOK]
                yield from open_in_lab(lab, saved_notebook(part))
                site.close_sessions()
        browser.close()


def main() -> int:
    """Print the table; 1 if there was a violation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="without contexts")
    parser.add_argument("--browser", action="store_true", help="load it into Chromium, too")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    options = parser.parse_args()
    bad = False
    columns = ["surface", "texts", "shown", "violations"]
    print(*columns, *(["scripts", "requests", "overlays"] * options.browser), sep="\t")
    for outcome in run_campaign(quick=options.quick, seed=options.seed):
        counts = browse(outcome) if options.browser and outcome.pages else ()
        print(*outcome[:4], *counts, sep="\t", flush=True)
        print(*outcome.examples, sep="\n", end="\n" * bool(outcome.examples))
        bad = bad or outcome.violations > 0 or any(counts)
    if options.browser:
        texts = payloads(len(VECTORS) if options.quick else 500, options.seed)
        print("JupyterLab", *Opened._fields, sep="\t")
        for opened in run_lab(texts):
            print("", *opened, sep="\t", flush=True)
            bad = bad or any(opened[:4])
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
