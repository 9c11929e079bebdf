"""Markdown that is safe in renderers that accept raw HTML and any address.

Renderers disagree on what is code, an escape or a link. So nothing here relies on a backslash, and
what could be active is spelled as a character reference, which every renderer shows as text. Only
code is different, since there a reference would be shown as it is:

* If a code block contains anything that would be active outside, all code blocks are written again
  with fences that no renderer can overlook: not in a list or quotation, with a plain language.
* A code span is kept as it is only on a line where each renderer finds the same spans.
"""

from __future__ import annotations

import re

from aeron_magic.markdown_text import fenced
from aeron_magic.plaintext import strip_control_sequences

_CHARACTERS = r"[^\s<>()\"'`\\|\[\]{}!]*+"
_URL = rf"(?:https?://|mailto:){_CHARACTERS}(?:\({_CHARACTERS}\){_CHARACTERS})?+"
_target = re.compile(
    rf"\s{{0,20}}(?:<(?P<pointed>{_URL})>|(?P<plain>{_URL}))"
    r"(?P<end>(?:\s{1,20}(?:\"[^\"\n]{0,300}\"|'[^'\n]{0,300}'))?\s{0,20}\))?",
    re.IGNORECASE,
)
_ACTIVE = (
    rf"\\\\|<{_URL}>|{_URL}"
    r"|(?P<tag>\\?<(?![\s\d=]))"
    r"|(?P<image>\\?!(?=\s{0,20}\\?\[))"
    r"|\](?P<space>\s{0,20})(?P<target>[(:])"
    r"|(?P<scheme>:(?=//))"
    r"|(?P<brace>\{)"
)
_SPAN = r"`[^`\n|]++`"
_outside_spans = re.compile(rf"{_SPAN}|{_ACTIVE}", re.IGNORECASE)
_anywhere = re.compile(_ACTIVE, re.IGNORECASE)
_simple_line = re.compile(rf"[^`\\]*+(?:{_SPAN}(?!`)[^`\\]*+)*+")
_fence_begun = re.compile(r"^([\s>*+\d.)-]{0,100})(`{3,}+|~{3,}+)", re.MULTILINE)
_empty_lines = re.compile(r"(\n[ \t]*+(?=\n))")
_value = re.compile("[A-Za-z]{2}=")
_active_code = re.compile(r"<(?![\s\d=])|!\s{0,20}\[|\]\s{0,20}[(:]|:(?=//)|\{[^{}\n=]*+=")
_suspicious = re.compile(rf"{_active_code.pattern}|\\[A-Za-z]")

LINK_TEXT = 300
"""Characters before an address in which its text is looked for."""


def safe_markdown(text: str) -> str:
    """Return ``text``, which has no control sequences, without anything active."""
    if not _suspicious.search(text):
        return text
    from aeron_magic.rendering.safe_html import block_tokens

    lines = text.split("\n")
    blocks = [token for token in block_tokens(text) if token.type in {"fence", "code_block"}]
    rewrite = any(_active_code.search(f"{block.info}\n{block.content}") for block in blocks)
    safe: list[str] = []
    done = 0
    for block in blocks:
        first, end = block.map or (done, done)
        safe += _outside_code(lines[done:first], rewrite)
        if rewrite:
            language = next(iter(block.info.split()), "")
            safe += [""] * bool(safe and safe[-1].strip())
            safe.append(fenced(block.content.removesuffix("\n"), language))
            safe += [""] * bool("".join(lines[end : end + 1]).strip())
        else:
            safe += lines[first:end]
        done = end
    return "\n".join(safe + _outside_code(lines[done:], rewrite))


def quoted_markdown(text: str) -> str:
    """Return untrusted ``text`` as a quotation, without anything active.

    Code that would be active stands between two parts of it: not every renderer finds code inside.
    """
    safe = safe_markdown(strip_control_sequences(text))
    if not _suspicious.search(safe):
        return _quotation(safe.split("\n"))
    from aeron_magic.rendering.safe_html import block_tokens

    lines, parts, done = safe.split("\n"), list[str](), 0
    for block in block_tokens(safe):
        if block.type == "fence" and block.map and _active_code.search(block.content):
            first, end = block.map
            parts += [_quotation(lines[done:first]), "\n".join(lines[first:end])]
            done = end
    return "\n\n".join(part for part in [*parts, _quotation(lines[done:])] if part != ">")


def _quotation(lines: list[str]) -> str:
    return "\n".join(f"> {line}".rstrip() for line in "\n".join(lines).strip("\n").split("\n"))


def _outside_code(lines: list[str], rewrite: bool) -> list[str]:
    """``lines`` without active content; ``rewrite``: also without what looks like a fence."""
    from aeron_magic.rendering.tex_math import UNSAFE_COMMANDS

    text = "\n".join(lines)
    if rewrite:  # what only some renderers take for a fence would hide the real ones
        text = _fence_begun.sub(_spelled, text)
    text = UNSAFE_COMMANDS.sub(lambda command: f"\\ {command[0][1:]}", text)
    text = "".join(map(_paragraph, _empty_lines.split(text)))
    return text.split("\n") if lines else []


def _spelled(line: re.Match[str]) -> str:
    return line[1] + f"&#{ord(line[2][0])};" * len(line[2])


def _paragraph(text: str) -> str:
    """``text`` without active content."""
    simple = "`" in text and all(map(_simple_line.fullmatch, text.split("\n")))
    pattern = _outside_spans if simple else _anywhere
    safe: list[str] = []
    done = 0
    line_end, values = -1, list[int]()
    while match := pattern.search(text, done):
        safe.append(text[done : match.start()])
        done = match.end()
        match match.lastgroup:
            case "tag":
                safe.append("&lt;")
            case "image":
                safe.append("&#33;")
            case "scheme":
                safe.append("&#58;")
            case "target":
                link, done = _link(text, match)
                safe.append(link)
            case "brace":  # such as {onclick=…}
                if done > line_end:
                    line_end = text.find("\n", done) % (len(text) + 1)
                    values = [one.end() for one in _value.finditer(text, done, line_end)]
                is_attribute = text.startswith(":", done) or (values and done < values[-1])
                safe.append("&#123;" if is_attribute else "{")
            case _:
                safe.append(match[0])
    return "".join([*safe, text[done:]])


def _link(text: str, match: re.Match[str]) -> tuple[str, int]:
    """What replaces the end of a link's text and its address, and the position after them."""
    from aeron_magic.rendering.safe_html import foreign_host

    target = _target.match(text, match.end())
    if match["target"] == ":":  # of a link that is defined elsewhere
        return f"]{match['space']}{':' if target else '&#58;'}", match.end()
    if target is None or target["end"] is None:
        return f"]{match['space']}&#40;", match.end()
    url = target["pointed"] or target["plain"]
    shown = text[max(0, match.start() - LINK_TEXT) : match.start()]
    host = foreign_host(shown.rpartition("](")[2].partition("[")[2], url)
    return f"]({url}){f' ({host})' if host else ''}", target.end()
