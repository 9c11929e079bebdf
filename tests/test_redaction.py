"""Secrets are taken out however they are spelled and divided."""

from __future__ import annotations

import json
import time
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.errors import AeronError
from aeron_magic.plaintext import TextFilter, redact, well_formed
from aeron_magic.protocol.events import Chunk, Completed, Introduced, Recovering, Started
from aeron_magic.replies.accumulator import ReplyAccumulator

SECRET = 's3cr3t-/+0815&do"not\\show'
RAW = SECRET.encode()
SPELLED = {
    "plain": SECRET,
    "upper case": SECRET.upper(),
    "JSON": json.dumps(SECRET),
    "Python": repr(SECRET),
    "URL": quote(SECRET),
    "whole URL": quote(SECRET, safe=""),
    "percent": "".join(f"%{byte:02X}" for byte in RAW),
    "hex": RAW.hex(),
    "upper hex": RAW.hex().upper(),
    "JSON escapes": "".join(f"\\u{byte:04X}" for byte in RAW),
    **{f"base64, {n} before": b64encode(b"id:"[:n] + RAW + b"xyz").decode() for n in range(4)},
    "base64 for URLs": urlsafe_b64encode(b"user:" + RAW).decode(),
}


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
def test_a_secret_is_found_in_each_spelling(spelled: str) -> None:
    text = redact(f"before {spelled} after", [SECRET])
    assert "[secret]" in text
    # In base64, at most one character at each end also holds bits of the secret.
    assert len(text) < len("before [secret] after") + 12


@given(st.sampled_from([*SPELLED.values()]), st.integers(1, 9), st.text(max_size=20))
def test_a_secret_that_is_divided_is_found(spelled: str, size: int, around: str) -> None:
    text = f"{around} {spelled} {around}"
    pieces = TextFilter([SECRET])
    found = "".join(pieces.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert found + pieces.rest == pieces.clean(text)
    assert "[secret]" in found + pieces.rest


def test_the_beginning_of_a_secret_at_the_end_is_taken_out() -> None:
    """The reply was stopped there."""
    pieces = TextFilter([SECRET])
    assert pieces.feed(f"It is {SECRET[:-1]}") + pieces.rest == "It is [secret]"


def test_a_long_piece_takes_linear_time() -> None:
    began = time.process_time()
    TextFilter([SECRET]).feed(SECRET[0] * 1_000_000 + "\u0130")
    assert time.process_time() - began < 2


def test_only_what_may_be_a_secret_is_held_back() -> None:
    pieces = TextFilter([SECRET])
    assert pieces.feed("It is") == "It i"
    assert pieces.feed(" so") == "s so"


@given(st.text(st.characters(exclude_categories=[]), max_size=30), st.integers(1, 4))
def test_pieces_of_any_text_are_well_formed(text: str, size: int) -> None:
    pieces = TextFilter()
    found = [pieces.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join(found) + pieces.rest == well_formed(text)
    "".join(found).encode()


def test_a_pair_of_surrogates_in_two_chunks_is_a_character() -> None:
    accumulator = ReplyAccumulator()
    accumulator.add([Chunk("a \ud83d", 2)])
    assert accumulator.text == "a \ufffd"
    accumulator.add([Chunk("\ude00 b \ud83d", 3)])
    accumulator.add([Completed()])
    assert accumulator.text == "".join(accumulator.displayed) == "a \U0001f600 b \ufffd"
    accumulator.reply().text.encode()


@pytest.mark.parametrize("size", [1, 3, 50])
def test_no_text_of_a_reply_has_the_secret(size: int) -> None:
    text = f"It is {SECRET}, or {RAW.hex()}."
    accumulator = ReplyAccumulator("aeronpay", None, [SECRET])
    accumulator.add([Started(f"t-{SECRET}", SECRET), Introduced(text, (text,))])
    accumulator.add([Recovering(text)])
    assert SECRET not in accumulator.status_text
    for number, at in enumerate(range(0, len(text), size), 2):
        accumulator.add([Chunk(text[at : at + size], number, SECRET)])
    accumulator.add([Completed(text)])
    reply = accumulator.reply()
    assert reply.text == "It is [secret], or [secret]." == "".join(accumulator.displayed)
    introduction = accumulator.introduction
    assert introduction is not None
    texts = [reply.context_token, reply.parent_context_token, reply.msg_id]
    assert texts == ["t-[secret]", "[secret]", "[secret]"]
    assert (introduction.text, *introduction.buttons) == (reply.text, reply.text)


def test_chunks_in_the_wrong_order_do_not_hide_it() -> None:
    accumulator = ReplyAccumulator("aeronpay", None, [SECRET])
    accumulator.add([Chunk("x", 2), Chunk(SECRET[9:], 4), Chunk(SECRET[:9], 3)])
    accumulator.add([Chunk(" late", 1)])
    assert accumulator.text == " latex[secret]"


def test_an_error_has_no_spelling_of_the_secret() -> None:
    error = AeronError(quote(SECRET, safe=""), hint=SECRET, partial=RAW.hex())
    error.redact([SECRET])
    assert (error.message, error.hint, error.partial) == ("[secret]",) * 3


def test_an_error_names_no_address_that_becomes_a_link() -> None:
    """Front ends make links of all addresses in an error's text."""
    error = AeronError("See file:///etc/x, data:text/html,x and https://good.example/x.")
    expected = "See file: ///etc/x, data: text/html,x and https://good.example/x."
    assert error.lines() == [f"AeronError: {expected}"]
