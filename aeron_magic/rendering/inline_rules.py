"""Rules for markdown-it that replies need: emphasis in text without spaces, addresses, tags."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.token import Token

from aeron_magic.markdown_text import CJK

_without_spaces = re.compile(f"[{CJK}\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff]")
"""Characters of scripts that write words without spaces between: also Thai, Lao, Tibetan, Burmese
and Khmer."""
_special = re.compile(r"[\n!#$%&*+\-:<=>@\[\\\]^_`{}~]")
"""The characters at which a rule can begin: those that end markdown-it's rule ``text``."""
_tag = re.compile(r"<(?:(?P<br>br)\s?/?>|(?P<name>sub|sup|kbd)>(?=\S))", re.IGNORECASE)
_address = re.compile(
    rf"https?://[^\s<>\"`|\\^{{}}\[\]\u2018-\u201f«»{CJK}]{{1,2000}}", re.IGNORECASE
)


def install_inline_rules(parser: MarkdownIt) -> None:
    """Add the rules to ``parser``."""
    parser.inline.__class__ = _Inline
    parser.inline.ruler.before("autolink", "plain_tag", _plain_tag)
    parser.linkify = _Linkifier()
    parser.options["linkify"] = True
    parser.inline.ruler.enable("linkify")


class _State(StateInline):
    """Text in which characters of scripts such as Chinese or Thai allow emphasis beside them.

    CommonMark asks for a space between punctuation and a letter, which is not written there.
    """

    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 - theirs
        scanned = super().scanDelims(start, canSplitWord)
        end = start + scanned.length
        before = self.src[start - 1 : start] if start else ""
        after = self.src[end : min(end + 1, self.posMax)]
        if not canSplitWord or not _without_spaces.search(before + after):
            return scanned
        return Scanned(bool(after.strip()), bool(before.strip()), scanned.length)


class _Inline(ParserInline):
    def parse(
        self, src: str, md: MarkdownIt, env: MutableMapping[str, Any], tokens: list[Token]
    ) -> list[Token]:
        if src and not _special.search(src):  # most cells of tables
            tokens.append(Token("text", "", 0, content=src))
            return tokens
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


def _plain_tag(state: StateInline, silent: bool) -> bool:
    """A line break, or text in ``sub``, ``sup`` or ``kbd``, if the tags have no attributes."""
    match = _tag.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if match["br"]:
        if not silent:
            state.push("hardbreak", "br", 0)
        state.pos = match.end()
        return True
    name, limit = match["name"].lower(), state.posMax
    close = re.compile(f"</{name}>", re.IGNORECASE).search(state.src, match.end(), limit)
    if close is None:
        return False
    if not silent:
        state.push(f"{name}_open", name, 1)
        state.pos, state.posMax = match.end(), close.start()
        state.md.inline.tokenize(state)
        state.posMax = limit
        state.push(f"{name}_close", name, -1)
    state.pos = close.end()
    return True


class _Address(NamedTuple):
    url: str


class _Linkifier:
    """Finds http and https addresses, for markdown-it's rule ``linkify``.

    linkify-it, which that rule is made for, reads the text after an address in Chinese as a part of
    it, and takes quadratic time.
    """

    def match_at_start(self, text: str) -> _Address | None:
        match = _address.match(text)
        url = _without_punctuation(match[0]) if match else ""
        return _Address(url) if len(url) > len("https://") else None


def _without_punctuation(url: str) -> str:
    """``url`` without punctuation at its end, as far as it belongs to the sentence."""
    depth = 0
    for end, character in enumerate(url):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            url = url[:end]
            break
    return url.rstrip(".,;:!?'*_~…$")
