"""A conversation as one HTML page, which makes no request when it is opened."""

from __future__ import annotations

from markupsafe import Markup

from aeron_magic.conversations.tree import ConversationTree, Turn, beginning
from aeron_magic.rendering.mimebundle import text_html
from aeron_magic.rendering.safe_html import to_html

STYLE = Markup("""
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
body > h2 { font-size: 1rem; margin: 2rem 0 .5rem; opacity: .7; }
.question { white-space: pre-wrap; unicode-bidi: plaintext; overflow-wrap: anywhere;
  border-inline-start: 4px solid #6a8fd8;
  background: #6a8fd822; border-radius: 4px; padding: .5rem .8rem; }
.reply { overflow-wrap: break-word; }
pre, table { display: block; overflow-x: auto; }
pre { background: #8881; border-radius: 4px; padding: .6rem; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
table { border-collapse: collapse; }
th, td { border: 1px solid #8886; padding: .2rem .6rem; }
figure { margin: 1em 0; }
.c { color: #7d7d7d; }
.k, .o { color: #a4408f; }
.s, .gi { color: #2e8540; }
.m { color: #3876c2; }
.gd { color: #d04040; }
""")
"""The classes of code are those of :mod:`aeron_magic.rendering.highlighting`."""

PAGE = Markup("""<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1 dir="auto">{title}</h1>
{turns}
</body>
</html>
""")

TURN = Markup("""<h2>{title}</h2>
<div class="question" dir="auto">{question}</div>
<div class="reply">{reply}</div>
""")


def as_page(tree: ConversationTree) -> str:
    """The page: each question as text, and its reply as safe HTML."""
    stale = tree.stale()
    parts = []
    before: Turn | None = None
    for turn in tree.in_order():
        title = f"Turn {turn.number}" + (f" ({turn.name})" if turn.name else "")
        parent = tree.shown_parent(turn)
        if parent is not before:
            where = f"after turn {parent.label}" if parent else beginning(turn)
            title += f", {where}"
        title += ", stale" if turn in stale else ""
        title += f" ({turn.status})" if turn.status != "complete" else ""
        question = "\n".join((turn.question, *(f"Image: {address}" for address in turn.images)))
        reply = to_html(turn.reply.text) if turn.reply is not None else ""
        parts.append(TURN.format(title=text_html(title), question=text_html(question), reply=reply))
        before = turn
    return PAGE.format(title=text_html(tree.title), style=STYLE, turns=Markup("\n").join(parts))
