"""A reply as Markdown for other programs: written again from the tokens of its HTML.

What is math, money, code, a link or emphasis is decided once, by the parser of `safe_html`. Here it
is written so that pandoc, GitHub and others read it alike, also those that accept raw HTML and any
address. Renderers disagree on what is code or an escape, so what could be active is written as a
character reference, which every renderer shows as text. Only code is different, since there a
reference would be shown as it is:

* A code block that contains anything active is not inside a list or a quotation, where not every
  renderer finds it.
* A code span that contains anything active is text if not every renderer finds its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

from aeron_magic.markdown_text import fenced, markdown_table
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.replies.extract import fence_language

if TYPE_CHECKING:
    from markdown_it.token import Token

_ACTIVE = re.compile(r"<(?![\s\d=])|!\s{0,20}\[|\]\s{0,20}[(:]|:(?=//)|\{[^{}\n=]*+=")
_ESCAPED = r"\*(?!\s)|(?<!\s)\*|(?<![^\W_])_|_(?![^\W_])|\\(?=[A-Za-z0-9])"
_REFERENCES = (
    r"[`{]|<(?![\s\d=])|&(?=#?\w{1,32};)|\\(?![A-Za-z0-9])|!(?=\s{0,20}\[)"
    r"|\](?=\s{0,20}[\[(:{])|(?<=xmpp):|:(?=//)|\^(?=\[)|(?<=-)-"
)
_LINE_BEGUN = re.compile(
    r"^[ \t]*+(?:(?P<before>\(?(?:\d{1,9}|[A-Za-z]|[IVXivx]{1,6}|@[\w-]{0,40}))"
    r"(?P<after>[.)])(?=\s|$)|(?P<mark>[#>]|[-+*](?=\s|$))"
    r"|(?P<other>:|\|(?=[\s:|-])|[Tt](?=able:)|~(?=\s)|\A%|[-=+:|](?=(?:[-=+:|]|[^\S\n])*+$)))?",
    re.MULTILINE,
)
_MATH = re.compile(
    r"(?:(?P<open>\$\$?|\\[(\[])(?P<tex>.*?)(?P<close>\$\$|\$|\\[)\]])|(?P<bare>\\begin.*\}))"
    r"(?P<after>\s*+[.,;:]?)\s*+",
    re.DOTALL,
)
_TEX = re.compile(
    r"(?P<less>\\?<(?![\s\d=]))|(?<!\\)(?P<sign>[%#])|!(?=\s*\[)|\](?=\s*[\[(:])|:(?=//)|&(?=#?\w+;)"
    r"|(?P<brace>(?<!\\)\{(?=:|[^{}\n=]{0,300}[A-Za-z]{2}\s*=))"
)
_ENVIRONMENT = re.compile(r"\\(?P<end>begin|end)\s*\{(?P<name>[A-Za-z]+)(?P<star>\*?)\}")
_INNER = {
    **dict.fromkeys(("align", "flalign", "eqnarray", "split"), "aligned"),
    **dict.fromkeys(("alignat", "xalignat", "xxalignat"), "alignedat"),
    **dict.fromkeys(("gather", "multline"), "gathered"),
    **dict.fromkeys(("equation", "displaymath", "math"), ""),
}
"""For an environment between paragraphs, the one that stands in a formula."""
_GRID = re.compile(
    r"\\begin\{(?P<name>[A-Za-z]+)\*?\}(?P<body>(?:[^\\]|\\(?!(?:begin|end)\{).)*+)\\end\{[A-Za-z]+\*?\}",
    re.DOTALL,
)
MAX_NESTED = 20
"""Environments inside each other that a formula has at most."""
_COLUMNS = re.compile(r"\s*(?:\[[a-z]\]\s*)?\{(?P<columns>(?:[^{}]|\{[^{}]*\})*)\}")
_WIDTHS = {
    **dict.fromkeys(("matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix"), 10),
    **dict.fromkeys(("cases", "dcases", "rcases", "drcases"), 2),
    **dict.fromkeys(("gathered", "subarray"), 1),
}
"""How many columns an environment has at most."""
_NUMBERS = re.compile(r"\\(?:notag|nonumber)(?![A-Za-z])\s*|\\label\s*\{[^{}]*\}")
_TAG = re.compile(r"\\tag\*?\s*\{([^{}]*)\}")
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|mbox|emph)\s*\{[^{}$]*")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_SCRIPT = (
    r"\s*+(?:\{(?:[^{}]++|\{[^{}]*+\})*+\}|\\[A-Za-z]++(?:\s*+\{[^{}]*+\})?+|[^\\{}\s^_&'])\s*+"
)
_NO_TEX = re.compile(
    r"(?<!\\)[\^_]\s*+(?:\Z|[}^_&'])"
    rf"|(?<!\\)\^{_SCRIPT}(?:_{_SCRIPT})?+[\^']|(?<!\\)_{_SCRIPT}(?:\^{_SCRIPT}|'++\s*+)?+_"
    rf"|'\s*+_{_SCRIPT}[\^']"
    r"|\\(?:left|middle|right)(?![A-Za-z])\s*+(?![()\[\]/|.<>]|\\[{}|A-Za-z]|[^\x00-\x7f])"
    r"|(?<!\\)(?:\\\\)*+\\[0-9?+<]"
)
"""What TeX refuses: missing or double scripts, missing delimiters, and unknown symbols."""
_LIMITS = re.compile(r"\\(?:no|display)?limits(?![A-Za-z])")
_NESTED = {"{": "}", "left": "right", "begin": "end"}
_WITHIN = {"middle": "left"} | dict.fromkeys(("&", "hline", "cline", "multicolumn"), "begin")
"""What stands only directly inside of which."""
_NESTING = re.compile(
    r"\\(left|middle|right|begin|end|[hc]line|multicolumn)(?![A-Za-z])|\\\\|\\.|[{}&]", re.DOTALL
)
_OPERATOR = re.compile(
    r"(?:\}|\\(?:sum|(?:co)?prod|o?i{0,3}nt|big[a-z]+|lim(?:inf|sup)?|max|min|sup|inf|det|gcd|Pr))\s*\Z"
)
"""What limits can follow; a brace may end ``\\operatorname*{…}``."""
_BARE_DOLLAR = re.compile(r"(?<!\\)(?:\\\\)*\$")
_BLOCK_BEGUN = re.compile(r"^[^\S\n]*+(?:[-+*>#=]|\d++[.)]\s)", re.MULTILINE)
_WORDS = re.compile(r"(?:[^\W_]++|[ .,;()'\"/?]++)*+")
"""Text in which nothing is escaped."""
_OPENS, _CLOSES = re.compile(r"\$(?!\s)"), re.compile(r"(?<!\s)\$")
_IN_ADDRESS = re.compile(r"[\s<>()\"'`\\|\[\]{}!*$^]")
_EMPTY_BEGIN = re.compile(r"\A(?:\s|<br>)++")
_SPACING = re.compile(r"[ \t]+|(?<=--)-+|(?<=\n\n)\n+")
_SHIFTED = {
    "sub": str.maketrans("0123456789+-()aeoxhklmnpst", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₐₑₒₓₕₖₗₘₙₚₛₜ"),
    "sup": str.maketrans("0123456789+-()in", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁱⁿ"),
}


class _Block(NamedTuple):
    kind: str
    text: str
    is_active: bool = False


def safe_markdown(text: str, tokens: list[Token] | None) -> str:
    """Return ``text``, which has no control sequences, without anything active.

    It is returned as it is if writing it again changes spaces and rules only. ``tokens`` is the
    result of `safe_html.parse`.
    """
    blocks = _written(text, tokens)
    written = "\n\n".join(block.text for block in blocks)
    bare = text.strip()
    is_same = bare == written or _SPACING.sub("", bare) == _SPACING.sub("", written)
    return text if is_same and not any(block.is_active for block in blocks) else written


def quoted_markdown(text: str) -> str:
    """Return untrusted ``text`` as a quotation, without anything active."""
    from aeron_magic.rendering.safe_html import parse

    text = strip_control_sequences(text)
    blocks = _quotation(_written(text, parse(text)))
    return "\n\n".join(block.text for block in blocks) or ">"


def _written(text: str, tokens: list[Token] | None) -> list[_Block]:
    with suppress(Exception):  # as in HTML
        if tokens is not None:
            return _blocks(tokens)
    return [_Block("fence", fenced(text))]


def _siblings(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """The tokens of each block on the outermost level."""
    found: list[Token] = []
    depth = 0
    for token in tokens:
        found.append(token)
        depth += token.nesting
        if not depth:
            yield found
            found = []


def _blocks(tokens: Iterable[Token]) -> list[_Block]:
    found = [block for group in _siblings(tokens) for block in _block(group)]
    return [block for block in found if block.text]


def _block(group: list[Token]) -> list[_Block]:
    first, inner = group[0], group[1:-1]
    kind = first.type.removesuffix("_open")
    match kind:
        case "blockquote":
            return _quotation(_blocks(inner))
        case "bullet_list" | "ordered_list":
            return _list(first, inner)
        case "paragraph":
            return [_Block(kind, _LINE_BEGUN.sub(_plain_begin, _Text(inner).write(inner[0])))]
        case "heading":
            text = " ".join(_Text(inner).write(inner[0], in_line=True).split())
            plain = text.rstrip("#")
            text = plain + "\\#" * (len(text) - len(plain))
            return [_Block(kind, f"{'#' * int(first.tag[1])} {text}")]
        case "table":
            return [_Block(kind, _table(inner))]
        case "hr":
            return [_Block(kind, "***")]
        case "math_block":
            return [_Block(kind, _math(first.content, is_block=True) or fenced(first.content))]
    code = first.content.removesuffix("\n")
    language = fence_language(first.info)
    return [_Block(kind, fenced(code, language), bool(_ACTIVE.search(f"{first.info}\n{code}")))]


def _quotation(blocks: list[_Block]) -> list[_Block]:
    found: list[_Block] = []
    for is_active, group in groupby(blocks, key=lambda block: block.is_active):
        if is_active:
            found += group
        else:
            text = "\n\n".join(block.text for block in group)
            found.append(_Block("quote", _indented(text, "> ", "> ")))
    return found


def _indented(text: str, first: str, rest: str) -> str:
    head, *lines = text.split("\n")
    return "\n".join([first + head, *(rest + line if line else rest.rstrip() for line in lines)])


def _list(head: Token, inner: list[Token]) -> list[_Block]:
    """Items with the indentation that all renderers understand; active code ends the list."""
    found: list[_Block] = []
    number = int(head.attrs.get("start", 1))
    text = ""
    for item in _siblings(inner):
        marker = f"{number}{item[0].markup}" if item[0].info else item[0].markup
        number += 1
        is_tight = not any(
            token.type == "paragraph_open" and not token.hidden for token in item[1:3]
        )
        indent = " " * max(4, len(marker) + 1)
        text += "\n" * (1 + (not is_tight)) if text else ""
        text += marker
        is_ended = False
        blocks = _blocks(item[1:-1])
        # pandoc finds a heading only where the text of the item begins.
        begin = indent[len(marker) :] if any(one.kind == "heading" for one in blocks) else " "
        for place, block in enumerate(blocks):
            if block.is_active or is_ended:
                found += [_Block("list", text)] if text else []
                found.append(block)
                text, is_ended = "", True
            elif not place:
                lead = begin if block.kind == "paragraph" else indent[len(marker) :]
                is_code = block.kind in {"fence", "code_block"}
                text += _indented(_with_tildes(block.text) if is_code else block.text, lead, indent)
            else:
                # pandoc would take the backticks of a block without a blank line for those of a
                # line.
                text += "\n" if is_tight and block.kind == "list" else "\n\n"
                text += _indented(block.text, indent, indent)
    return [*found, _Block("list", text)] if text else found


def _with_tildes(block: str) -> str:
    """A code block at the beginning of an item, where pandoc knows no backticks."""
    begin, *lines, _ = block.split("\n")
    fence = "~" * max(3, 1 + max(map(len, re.findall("~+", block)), default=0))
    return "\n".join([fence + begin.lstrip("`"), *lines, fence])


def _table(inner: list[Token]) -> str:
    text = _Text(inner)
    rows: list[list[str]] = []
    edges: list[str] = []
    for before, token in pairwise(inner):
        if before.type == "tr_open":
            rows.append([])
        if token.type == "inline":
            rows[-1].append(" ".join(text.write(token, in_line=True, in_cell=True).split()))
            if before.type == "th_open":
                edges.append(str(before.attrs.get("style", "")).removeprefix("text-align:")[:1])
    rules = [{"l": ":--", "c": ":-:", "r": "--:"}.get(edge, "---") for edge in edges]
    return markdown_table(rows[0], rows[1:], rules)


class _Piece(NamedTuple):
    kind: str
    text: str
    in_link: bool = False


_EDGE = _Piece("", " ")


class _Text:
    """Writes the text of one block.

    * ``tokens``: the block; what needs a reference depends on all of it.
    """

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens

    @cached_property
    def _has_ticks(self) -> bool:
        children = (child for token in self._tokens for child in _children(token))
        return any("`" in child.content for child in children if child.type == "code_inline")

    @cached_property
    def _pattern(self) -> str:
        children = [child for token in self._tokens for child in _children(token)]
        text = "".join(child.content for child in children if child.type != "math_inline")
        has_math = any(child.type == "math_inline" for child in children)
        pattern = rf"(?P<escaped>{_ESCAPED})|{_REFERENCES}"
        if "$" in text and (has_math or _could_be_math(text)):
            pattern += r"|\$"
        if text.count("^") > 1:
            pattern += r"|(?<=\S)\^(?=\S)"
        if text.count("~") > 1:
            pattern += r"|(?<=\S)~"
        return pattern

    def write(self, token: Token, *, in_line: bool = False, in_cell: bool = False) -> str:
        """The Markdown of one paragraph, heading or cell; ``in_line``: on one line."""
        children = _children(token)
        if len(children) == 1 and children[0].type == "text" and _WORDS.fullmatch(token.content):
            return children[0].content.strip()
        pieces = [_EDGE]
        for piece in self._pieces(children, in_line, in_cell):
            if piece.kind == "text" and pieces[-1].kind == "break":
                piece = piece._replace(text=piece.text.lstrip(" \t"))
            pieces += [piece] if piece.text else []
        pieces += [_EDGE, _EDGE]
        written: list[str] = []
        for place, piece in enumerate(pieces[:-2]):
            before, after = pieces[place - 1], pieces[place + 1]
            if piece.kind != "text":
                if piece.kind == before.kind and piece.kind in {"math", "code"}:
                    written.append(" ")
                elif piece.kind == "break" and (
                    before.kind in {"open", "tag_open"} or after.kind in {"close", "tag_close"}
                ):
                    written.append("<br>")
                    continue
                elif piece.kind == before.kind == "break" and not in_line:
                    # Of a soft and a hard line break, the hard one is left; none is a blank line.
                    last, hard = written.pop(), "  \n"
                    more = "<br>\n" if piece.text == hard else ""
                    written.append(last + more if last.startswith(hard) else piece.text)
                    continue
                written.append(piece.text)
                continue
            text, head, tail = piece.text, "", ""
            if (before.kind == "math" and text[0].isdigit()) or (
                before.kind == "close" and _is_stuck(before, pieces[place - 2].text[-1], text[0])
            ):
                head, text = _reference(text[0]), text[1:]
            bare = text.rstrip()
            if bare.endswith("]") and after is not _EDGE:
                text, tail = bare[:-1], "&#93;" + text[len(bare) :]
            elif text and (
                (after.kind == "open" and _is_stuck(after, pieces[place + 2].text[0], text[-1]))
                or (after.text == "[" and text[-1] in "!^")
            ):
                text, tail = text[:-1], _reference(text[-1])
            written.append(head + self._escape(text, piece.in_link, in_cell) + tail)
        return _EMPTY_BEGIN.sub("", "".join(written)).strip()

    def _escape(self, text: str, in_link: bool, in_cell: bool) -> str:
        def escaped(match: re.Match[str]) -> str:
            return f"\\{match[0]}" if match["escaped"] else _reference(match[0])

        more = (r"|[\[\]^]" if in_link else "") + (r"|\|" if in_cell else "")
        return re.sub(self._pattern + more, escaped, text)

    def _pieces(self, children: list[Token], in_line: bool, in_cell: bool) -> Iterator[_Piece]:
        address = ""
        place = -1
        while (place := place + 1) < len(children):
            token = children[place]
            name = token.type.rpartition("_")[0]
            following = children[place + 1 : place + 3]
            match token.type:
                case "text" if token.content:
                    yield _Piece("text", token.content.replace("\n", " "), bool(address))
                case "softbreak":
                    yield _Piece("break", "\n")
                case "hardbreak":
                    yield _Piece("break", "<br> " if in_line else "  \n")
                case "math_inline" if tex := _math(token.content, in_cell=in_cell):
                    yield _Piece("math", tex)
                case "code_inline" | "math_inline" if in_cell and "|" in token.content:
                    # In code, not every renderer takes the backslash before a bar away.
                    code = re.sub(r"[^\w\s]|_", lambda one: _reference(one[0]), token.content)
                    yield _Piece("tag_open", "<code>")
                    yield _Piece("code", code)
                    yield _Piece("tag_close", "</code>")
                case "code_inline" | "math_inline":
                    yield self._code(token.content, bool(address))
                case "em_open" | "strong_open" | "s_open":
                    yield _Piece("open", token.markup)
                case "em_close" | "strong_close" | "s_close":
                    yield _Piece("close", token.markup)
                case "link_open" | "image_a" if token.nesting > 0:
                    url = str(token.attrs["href"])
                    address = _IN_ADDRESS.sub(lambda found: f"%{ord(found[0]):02X}", url)
                    if following[0].content == address and address.startswith("http"):
                        yield _Piece("link", f"<{address}>")
                        place, address = place + 2, ""
                    else:
                        yield _Piece("link", "[")
                case "link_close" | "image_a":
                    yield _Piece("link", f"]({address})")
                    address = ""
                case "sub_open" | "sup_open" if _can_shift(following, name):
                    shifted = following[0].content.translate(_SHIFTED[name])
                    yield _Piece("text", shifted, bool(address))
                    place += 2
                case "sub_open" | "sup_open" | "kbd_open":
                    yield _Piece("tag_open", f"<{name}>")
                case "sub_close" | "sup_close" | "kbd_close":
                    yield _Piece("tag_close", f"</{name}>")

    def _code(self, code: str, in_link: bool) -> _Piece:
        code = code.replace("\n", " ")  # of a formula
        if _ACTIVE.search(code) and self._has_ticks:
            return _Piece("text", code, in_link)
        ticks = "`" * (1 + max(map(len, re.findall("`+", code)), default=0))
        is_padded = "`" in code[:1] + code[-1:] or code[:1] == code[-1:] == " " != code
        space = " " if is_padded and code.strip() else ""
        return _Piece("code", f"{ticks}{space}{code}{space}{ticks}")


def _children(token: Token) -> list[Token]:
    return [token] if token.type == "text" else token.children or []


def _is_stuck(marker: _Piece, inside: str, outside: str) -> bool:
    """Whether CommonMark does not find the ``marker`` of emphasis between these characters."""
    return outside.isalnum() and ("_" in marker.text or not inside.isalnum())


def _could_be_math(text: str) -> bool:
    """Whether some program could take two dollars in ``text`` for the limits of a formula."""
    opener = _OPENS.search(text)
    return opener is not None and any(
        one.start() > opener.start() for one in _CLOSES.finditer(text)
    )


def _reference(character: str) -> str:
    return {"<": "&lt;", "&": "&amp;"}.get(character) or f"&#{ord(character)};"


def _plain_begin(match: re.Match[str]) -> str:
    """The beginning of a line of text that could begin another block."""
    if match["before"]:
        return f"{match['before']}\\{match['after']}"
    if match["mark"]:
        return f"\\{match['mark']}"
    return _reference(match["other"]) if match["other"] else ""


def _can_shift(tokens: list[Token], name: str) -> bool:
    """Whether Unicode has the whole text as a subscript or superscript, which no renderer drops."""
    if [token.type for token in tokens] != ["text", f"{name}_close"]:
        return False
    return all(ord(character) in _SHIFTED[name] for character in tokens[0].content)


def _math(source: str, *, is_block: bool = False, in_cell: bool = False) -> str:
    """A formula in dollars, which all programs know; empty if it must not or cannot be one."""
    from aeron_magic.replies.tex_math import is_self_contained

    match = _MATH.fullmatch(source)
    if match is None or "`" in source or not is_self_contained(source):
        return ""
    tex = _for_latex((match["tex"] or match["bare"]).strip(), in_cell)
    tex = _TEX.sub(_harmless_tex, tex)
    is_display = match["open"] in (None, "$$", "\\[")
    if not tex or (not is_display and _BARE_DOLLAR.search(tex)):
        return ""
    if in_cell:
        tex = tex.replace("|", "\\vert ")
    if is_block and "\n" in tex and not _BLOCK_BEGUN.search(tex):
        return f"$$\n{tex}\n$${match['after']}"
    tex = re.sub(r"(?<!\\)((?:\\\\)*)\\\Z", r"\1", " ".join(tex.split()))
    return f"$${tex}$${match['after']}" if is_display else f"${tex}$"


def _for_latex(tex: str, in_cell: bool) -> str:
    """The formula as LaTeX takes it, too, where MathJax takes more; empty if LaTeX cannot.

    A single formula that LaTeX does not take would end the conversion of a notebook to PDF.
    """
    from aeron_magic.replies.tex_commands import LATEX_COMMANDS, LATEX_ENVIRONMENTS

    tex = _ENVIRONMENT.sub(_inner, _NUMBERS.sub("", tex))
    tex = _TAG.sub(r"\\quad\\text{(\1)}", tex)
    tex = _TEXT.sub(lambda text: re.sub(r"(?<!\\)[_&]", r"\\\g<0>", text[0]), tex)
    environments = {one["name"] + one["star"] for one in _ENVIRONMENT.finditer(tex)}
    commands = _COMMAND.findall(_ENVIRONMENT.sub(" ", tex).replace("\\\\", " "))
    if (
        not LATEX_COMMANDS.issuperset(commands)
        or not _is_nested(tex)
        or not LATEX_ENVIRONMENTS.issuperset(environments)
        or not _fits(tex, in_cell)
        or (not environments and in_cell and "\\\\" in tex)  # it would end the row
        or _NO_TEX.search(tex)
        or not all(
            _OPERATOR.search(tex, max(0, one.start() - 40), one.start())
            for one in _LIMITS.finditer(tex)
        )
    ):
        return ""
    return tex.strip()


def _is_nested(tex: str) -> bool:
    """Whether braces, delimiters and environments are inside each other, as are their cells."""
    begun: list[str] = []
    for one in _NESTING.finditer(tex):
        mark = one[1] or one[0]
        if mark in _NESTED:
            begun.append(mark)
        elif mark in _NESTED.values():
            if not begun or _NESTED[begun.pop()] != mark:
                return False
        elif mark == "\\\\":
            if begun[-1:] == ["left"] and "begin" in begun:
                return False
        elif mark in _WITHIN and begun[-1:] != [_WITHIN[mark]]:
            return False
    return not begun


def _fits(tex: str, in_cell: bool) -> bool:
    """Whether all rows of all environments have cells for columns that there are."""
    for _ in range(MAX_NESTED + 1):
        for grid in _GRID.finditer(tex):
            width, body = _WIDTHS.get(grid["name"]), grid["body"]
            if grid["name"] == "array":
                columns = _COLUMNS.match(body)
                if columns is None or (in_cell and "|" in columns[0]):
                    return False
                kinds = re.sub(r"\{[^{}]*\}", "", columns["columns"])
                width = None if "*" in kinds else len(re.findall("[lcrpmb]", kinds))
                body = body[columns.end() :]
            rows = body.replace("\\\\", "\n").replace("\\&", "").split("\n")
            if width is not None and any(row.count("&") >= max(width, 1) for row in rows):
                return False
        tex, count = _GRID.subn("x", tex)  # what is inside of others comes first
        if not count:
            return True
    return False


def _inner(match: re.Match[str]) -> str:
    name = _INNER.get(match["name"])
    if name is None:
        return match[0]
    return f"\\{match['end']}{{{name}}}" if name else ""


def _harmless_tex(match: re.Match[str]) -> str:
    """The same formula, without what a renderer that does not know math could take for HTML."""
    replaced = {"less": "\\lt ", "sign": f"\\{match[0]}", "brace": "{{}"}
    return replaced.get(match.lastgroup or "", f"{match[0]}{{}}")
