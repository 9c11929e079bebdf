from __future__ import annotations

import time

import httpx
import pytest

from aeron_magic.sandbox import Faults


def streamed(visitor):
    """The bytes received of a streamed reply, and the error it ends with."""
    got = b""
    try:
        with visitor.opened() as answer:
            for piece in answer.iter_raw():
                got += piece
    except httpx.TransportError as error:
        return got, error
    return got, None


@pytest.mark.parametrize(
    ("how", "error"),
    [("reset", httpx.ReadError), ("close", httpx.RemoteProtocolError), ("end", type(None))],
)
@pytest.mark.parametrize("after", [0, 1, 300, 400])
def test_cut_after_so_many_bytes(visitor, sandbox, how, error, after):
    """Exactly so many bytes of the body arrive, then it ends as set."""
    whole, _ = streamed(visitor)
    sandbox.set_faults(cut_after=after, cut_how=how)
    got, ended = streamed(visitor)
    assert len(got) == after
    assert got[:150] == whole[: min(after, 150)]  # tokens, which differ, come later
    assert type(ended) is error


def test_cut_after_the_last_byte(visitor, sandbox):
    """The body is complete, but its end is missing."""
    whole, _ = streamed(visitor)
    sandbox.set_faults(cut_after=len(whole), cut_how="close")
    got, ended = streamed(visitor)
    assert len(got) == len(whole)
    assert isinstance(ended, httpx.RemoteProtocolError)


def test_a_cut_beyond_the_end_cuts_nothing(visitor, sandbox):
    """The reply is complete."""
    sandbox.set_faults(cut_after=100_000)
    assert streamed(visitor)[1] is None


def test_a_number_of_replies_is_cut(visitor, sandbox):
    """Later ones are complete."""
    sandbox.set_faults(cut_after=10, cut_times=2)
    errors = [streamed(visitor)[1] for _ in range(3)]
    assert [error is None for error in errors] == [False, False, True]


def test_only_replies_are_cut(visitor, sandbox):
    """fetch-response, list-input and refusals are complete and use no cut."""
    token = visitor.create().json()["context_token"]
    sandbox.set_faults(cut_after=10)
    assert visitor.fetch(token).json()["context_token"] == token
    assert visitor.pay("list-input", context_token=token).json()["data"]
    assert sandbox.faults.cut_times == 1


def test_a_plain_reply_can_be_cut(visitor, sandbox):
    """The body is shorter than its Content-Length."""
    sandbox.set_faults(cut_after=10, cut_how="close")
    with pytest.raises(httpx.RemoteProtocolError):
        visitor.create()


def test_stall_in_silence(visitor, sandbox):
    """After so many bytes nothing is sent for the set time, then the rest."""
    whole, _ = streamed(visitor)
    sandbox.set_faults(stall_after=320, stall_seconds=0.2)
    began = time.monotonic()
    got, ended = streamed(visitor)
    assert ended is None
    assert len(got) == len(whole)
    assert time.monotonic() - began >= 0.2


def test_stall_with_comments(visitor, sandbox):
    """Comments are sent during the stall."""
    sandbox.set_faults(stall_after=320, stall_seconds=0.1, stall_how="comments", comment_every=0.02)
    got, _ = streamed(visitor)
    assert got.count(b": keep-alive\n\n") >= 2


def test_stall_until_the_client_leaves(visitor, sandbox):
    """The server waits without limit, and logs that the client closed."""
    sandbox.set_faults(stall_after=320)
    url = f"{sandbox.aeronpay_url}/create-response"
    body = {"client_referenceId": "r", "user": {"text": "a"}, "stream": True}
    headers = {"client-id": "a", "client-secret": "b"}
    with pytest.raises(httpx.ReadTimeout):
        visitor.http.post(url, json=body, headers=headers, timeout=0.2)
    assert sandbox.log.wait(lambda seen: seen[-1].done)
    assert sandbox.log[-1].closed_by_client
    assert sandbox.log[-1].bytes_sent == 320


@pytest.mark.parametrize("name", ["latency", "first_chunk", "pause"])
def test_pauses(visitor, sandbox, name):
    """Each delays the reply."""
    sandbox.faults = Faults(say="one two", **{name: 0.1})
    began = time.monotonic()
    streamed(visitor)
    assert time.monotonic() - began >= 0.1


def test_a_plain_reply_takes_as_long_as_its_stream(visitor, sandbox):
    """Its words are generated at the same pace."""
    sandbox.faults = Faults(say="one two three", pause=0.05)
    began = time.monotonic()
    visitor.create()
    assert time.monotonic() - began >= 0.1


def test_each_event_is_sent_at_once(visitor, sandbox):
    """The first event arrives long before the second."""
    sandbox.faults = Faults(say="one two", pause=30.0)
    with visitor.opened() as answer:
        lines = answer.iter_lines()
        assert "response_initiated" in next(lines)
        next(lines)
        assert "one" in next(lines)
