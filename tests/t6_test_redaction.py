"""Secrets in their spellings, in whole texts and in pieces."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.protocol.events import Chunk, Completed, Introduced, Recovering, Started
from aeron_magic.redaction import REDACTED, Redactor, redactor
from aeron_magic.replies.accumulator import ReplyAccumulator

SECRET = 'a+b/c"d_e&f-0815'

SPELLINGS = {
    "raw": SECRET,
    "upper": SECRET.upper(),
    "json": json.dumps(SECRET)[1:-1],
    "json in json": json.dumps(json.dumps(SECRET)[1:-1])[1:-1],
    "url": quote(SECRET),
    "url, strict": quote(SECRET, safe=""),
    "url, lower": quote(SECRET, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "form": quote_plus(SECRET),
    "every byte": "".join(f"%{byte:02x}" for byte in SECRET.encode()),
    "html": html.escape(SECRET),
    "hex": SECRET.encode().hex(),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64url": base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    "basic": base64.b64encode(f"me:{SECRET}".encode()).decode(),
    "basic, 1": base64.b64encode(f"m:{SECRET}!".encode()).decode(),
    "basic, 2": base64.b64encode(f"{SECRET}@host".encode()).decode(),
    "markdown": 'a\\+b\\/c\\"d\\_e\\&f\\-0815',
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
def test_each_spelling_is_replaced(spelled: str) -> None:
    """Up to the two characters of base64 that also hold bits of its neighbours."""
    cleaned = Redactor([SECRET]).clean(f"before {spelled} after")
    assert REDACTED in cleaned
    assert max(map(len, cleaned.replace(REDACTED, " ").split())) <= max(6, len(spelled) - 17)


def test_a_short_secret_is_searched_for_in_errors_only() -> None:
    """It may be a word."""
    assert redactor(("mine",)).clean("determine") == "determine"
    assert redactor(("mine",), 1).clean("mine") == REDACTED
    assert not Redactor(["", "abc"])


def reading(*pieces: str) -> tuple[ReplyAccumulator, list[str]]:
    accumulator = ReplyAccumulator(redactor=Redactor([SECRET]))
    shown = [accumulator.add([Chunk(piece, number, "m")]) for number, piece in enumerate(pieces, 2)]
    return accumulator, shown


@given(st.lists(st.integers(0, 40), max_size=8))
def test_a_secret_in_pieces_is_never_displayed(cuts: list[int]) -> None:
    """Wherever the pieces are cut."""
    text = f"It is {SECRET}, you see"
    ends = [0, *sorted(cuts), len(text)]
    accumulator, _ = reading(*(text[one:two] for one, two in zip(ends, ends[1:], strict=False)))
    accumulator.add([Completed(text)])
    assert "".join(accumulator.displayed) == accumulator.text == f"It is {REDACTED}, you see"


def test_the_beginning_of_a_secret_waits_and_is_not_lost() -> None:
    """Where nothing follows, it is text; most of a secret is not shown."""
    accumulator, shown = reading("Vitamin ", "a", "+", "c", " and a+")
    assert shown == ["Vitamin ", "", "", "a+c", " and "]
    assert accumulator.text == "Vitamin a+c and a+"
    accumulator.end()
    assert "".join(accumulator.displayed) == accumulator.text
    accumulator, _ = reading(f"It is {SECRET[:-1]}")
    accumulator.end()
    assert "".join(accumulator.displayed) == accumulator.text == f"It is {REDACTED}"


def test_chunks_in_another_order() -> None:
    """The finished text has no secret either."""
    accumulator = ReplyAccumulator(redactor=Redactor([SECRET]))
    accumulator.add([Chunk(SECRET[:5], 2), Chunk(SECRET[5:] + " it is", 4)])
    accumulator.add([Chunk("", 3), Completed()])
    assert accumulator.text == f"{REDACTED} it is"


def test_tokens_names_and_notices() -> None:
    """A token that is a secret is not kept."""
    accumulator = ReplyAccumulator("aeronpay", "old", Redactor([SECRET]))
    accumulator.add([Started(SECRET, SECRET), Introduced(SECRET, (SECRET,))])
    accumulator.add([Recovering(f"lost: {quote(SECRET)}"), Chunk("x", 2, f"id-{SECRET}")])
    reply = accumulator.reply(status="complete")
    assert (reply.context_token, reply.parent_context_token) == ("old", None)
    assert reply.msg_id == f"id-{REDACTED}"
    assert accumulator.introduction == Introduced(REDACTED, (REDACTED,))
