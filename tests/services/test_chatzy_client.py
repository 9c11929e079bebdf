"""``Client`` and ``AsyncClient`` with the sandbox's Chatzy: each test for both."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from credentials import SECRET

from aeron_magic.client.client import AsyncClient, AsyncStream, Client, Stream
from aeron_magic.errors import (
    AccessRestricted,
    AeronError,
    FailedReply,
    IncompleteReply,
    TokenError,
    UsageError,
    ValueRefused,
    is_safe_to_ask_again,
)
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply
from aeron_magic.sandbox import Refusal, Sandbox

AGENT = "0f8fad5b-d9cb-469f-a165-70867728950e"
SAY = ("Hello", " there,", " how are", " you?")
WHOLE = "".join(SAY)
FIRST_EVENT = len(f'id: {AGENT}\ndata: {{"content": "Hello"}}\n\n')
"""Bytes of the first event; each id is as long as the agent's."""


class Asker:
    """The same blocking calls for both clients."""

    def __init__(self, sandbox: Sandbox, sync: bool, **options: Any) -> None:
        self.sync = sync
        self._loop = None if sync else asyncio.new_event_loop()
        kind = Client if sync else AsyncClient
        self.client: Any = kind(
            "chatzy",
            base_url=sandbox.chatzy_url,
            stream_url=sandbox.chatzy_stream_url,
            chatbot_id=AGENT,
            **{"timeout": 5.0, "fetch_timeout": 5.0, **options},
        )

    def _wait(self, value: Any) -> Any:
        return self._loop.run_until_complete(value) if isinstance(value, Coroutine) else value

    def ask(self, text: str = "Well?", **options: Any) -> Reply:
        reply: Reply = self._wait(self.client.ask(text, **options))
        return reply

    def call(self, name: str, *arguments: Any) -> Any:
        return self._wait(getattr(self.client, name)(*arguments))

    def introduction(self) -> ReplyAccumulator:
        reading: Stream | AsyncStream = self.client.stream_introduction()
        self._wait(reading.finish())
        return reading.accumulator

    def failing(self, text: str = "Well?", **options: Any) -> tuple[AeronError, Reply]:
        """The error of a question, and the reply so far."""
        reading = self.client.stream(text, **options)
        with pytest.raises(AeronError) as caught:
            self._wait(reading.finish())
        self._wait(reading.close())
        return caught.value, reading.reply

    def first_piece(self) -> tuple[str, Reply]:
        """Leave the stream after its first piece."""

        async def leave() -> str:
            async with self.client.stream("Well?") as reading:
                self.left = reading
                return await anext(aiter(reading))

        if not self.sync:
            piece: str = self._wait(leave())
            return piece, self.left.reply
        with self.client.stream("Well?") as reading:
            piece = next(iter(reading))
        return piece, reading.reply

    def close(self) -> None:
        self._wait(self.client.close())
        if self._loop is not None:  # as asyncio.run does
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()


@pytest.fixture(params=[True, False], ids=["sync", "async"])
def asker(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Asker]:
    with contextlib.closing(Asker(sandbox, request.param)) as one:
        yield one


def test_a_conversation_of_two_turns(asker: Asker, sandbox: Sandbox) -> None:
    """The second question continues the conversation of the first."""
    first = asker.ask("How do I continue a conversation?")
    second = asker.ask("Show an example", context_token=first.context_token)
    assert (first.status, second.status) == ("complete", "complete")
    assert first.text
    assert first.msg_id
    assert first.service == "chatzy"
    assert second.context_token == first.context_token
    assert [seen.endpoint for seen in sandbox.log] == [
        "init_conversation",
        "get_inference",
        "get-response",
        "get_inference",
        "get-response",
    ]


def test_an_introduction(asker: Asker, sandbox: Sandbox) -> None:
    """It starts a conversation, which the first question continues."""
    accumulator = asker.introduction()
    assert accumulator.introduction is not None
    assert accumulator.introduction.text
    assert accumulator.introduction.buttons
    reply = asker.ask(context_token=accumulator.context_token)
    assert reply.context_token == accumulator.context_token
    assert len(sandbox.log.of("init_conversation")) == 1


@pytest.mark.parametrize("sync", [True, False])
def test_a_secret_of_another_service_in_the_environment_is_not_sent(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    """A short one is not searched for."""
    monkeypatch.setenv("AERON_CLIENT_SECRET", SECRET)
    with contextlib.closing(Asker(sandbox, sync)) as asker:
        for text in (f"my {SECRET}", SECRET.upper(), SECRET.encode().hex()):
            with pytest.raises(ValueRefused) as caught:
                asker.ask(text)
            assert SECRET not in "".join(caught.value.lines())
    assert not len(sandbox.log)
    monkeypatch.setenv("AERON_CLIENT_SECRET", "continue")
    with contextlib.closing(Asker(sandbox, sync)) as asker:
        assert asker.ask("How do I continue?").is_complete


@pytest.mark.parametrize("spelling", ["json", "bare"])
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("ids", ["each", "first", "none"])
def test_a_whole_reply(
    asker: Asker, sandbox: Sandbox, spelling: str, streaming: bool, ids: str
) -> None:
    """Streamed or not, with ids or without, signals in both spellings."""
    sandbox.set_faults(chunks=SAY, spelling=spelling, streaming=streaming, ids=ids)
    reply = asker.ask()
    assert (reply.text, reply.status) == (WHOLE, "complete")


def test_a_tool_call_separates_two_messages(asker: Asker) -> None:
    text = asker.ask("Please look it up: how do I record?").text
    assert "\n\n" in text
    assert text.startswith("Let me look that up")


@pytest.mark.parametrize("spelling", ["json", "bare"])
@pytest.mark.parametrize(
    ("signal", "error", "status"),
    [
        ("no_message_found", FailedReply, "failed"),
        ("close_connection_incomplete_content", IncompleteReply, "incomplete"),
        ("close_connection_incomplete_tool_calls", IncompleteReply, "incomplete"),
        ("close_connection_incomplete_request", IncompleteReply, "incomplete"),
        ("__ERROR__: out of order", FailedReply, "failed"),
        ("[FROZEN]", AccessRestricted, "failed"),
        ("[BLACKLISTED]", AccessRestricted, "failed"),
    ],
)
def test_signals_that_end_a_reply(
    asker: Asker,
    sandbox: Sandbox,
    signal: str,
    spelling: str,
    error: type[AeronError],
    status: str,
) -> None:
    """The text before the signal is kept, in the error and in the reply."""
    sandbox.set_faults(chunks=SAY, signal=signal, signal_when="middle", spelling=spelling)
    caught, reply = asker.failing()
    assert type(caught) is error
    assert caught.partial == reply.text == "Hello there,"
    assert reply.status == status
    assert caught.context_token == reply.context_token
    assert reply.context_token
    assert is_safe_to_ask_again(caught) == (error is FailedReply)


def test_leaving_a_reply_closes_its_connection(asker: Asker, sandbox: Sandbox) -> None:
    sandbox.set_faults(chunks=SAY, pause=20.0)
    piece, reply = asker.first_piece()
    assert (piece, reply.text, reply.status) == ("Hello", "Hello", "interrupted")
    assert sandbox.log.wait(lambda seen: seen[-1].closed_by_client)


@pytest.mark.parametrize("reopen", ["nothing", "repeat", "continue"])
@pytest.mark.parametrize("how", ["reset", "close", "end"])
def test_a_stream_cut_anywhere(asker: Asker, sandbox: Sandbox, how: str, reopen: str) -> None:
    """The reply is complete, or incomplete with a beginning of its text; it is asked once."""
    sandbox.set_faults(chunks=("Hi", " hi"), generation_time=0.0)
    asker.ask()
    assert sandbox.log.wait(lambda log: log[-1].done)
    size = sandbox.log[-1].bytes_sent
    token = asker.ask().context_token
    ended = set()
    for place in [0, *range(1, size, 41), size - 1]:
        sandbox.log.clear()
        sandbox.set_faults(cut_after=place, cut_times=1, cut_how=how, reopen=reopen)
        try:
            reply = asker.ask(context_token=token)
        except IncompleteReply as error:
            ended.add("incomplete")
            got = error.partial
        else:
            ended.add(reply.status)
            got = reply.text if reply.text != "Hi hi" else ""
        assert got in ("", "Hi", "Hi hi"), place
        assert len(sandbox.log.of("get_inference")) == 1
    assert {"recovered", "incomplete"} <= ended


@pytest.mark.parametrize("where", ["data", "top"])
def test_a_stream_lost_before_it_began_is_opened_again(
    asker: Asker, sandbox: Sandbox, where: str
) -> None:
    """The status is recovered."""
    sandbox.set_faults(chunks=SAY, cut_after=0, status_where=where)
    reply = asker.ask()
    assert (reply.text, reply.status) == (WHOLE, "recovered")
    assert [seen.endpoint for seen in sandbox.log][2:] == [
        "get-response",
        "get_stream_status",
        "generate_secret",
        "get-response",
    ]


def test_a_stream_that_falls_silent_is_lost(sandbox: Sandbox, asker: Asker) -> None:
    """Silence longer than the timeout is a loss; the status is polled, and the reply incomplete."""
    sandbox.set_faults(chunks=SAY, stall_after=FIRST_EVENT, generation_time=0.3)
    with contextlib.closing(Asker(sandbox, asker.sync, timeout=0.3)) as hasty:
        caught, reply = hasty.failing()
    assert isinstance(caught, IncompleteReply)
    assert "silent for 0.3 s" in str(caught)
    assert "done on the server" in str(caught)
    assert caught.partial == reply.text == "Hello"


def test_comments_keep_a_stream_alive(sandbox: Sandbox, asker: Asker) -> None:
    sandbox.set_faults(chunks=SAY, stall_after=FIRST_EVENT, stall_how="comments", stall_seconds=0.8)
    with contextlib.closing(Asker(sandbox, asker.sync, timeout=0.4)) as hasty:
        assert hasty.ask().text == WHOLE


def test_waiting_for_a_reply_ends_with_fetch_timeout(sandbox: Sandbox, asker: Asker) -> None:
    sandbox.set_faults(chunks=SAY, cut_after=FIRST_EVENT, generation_time=3600.0)
    began = time.monotonic()
    with contextlib.closing(Asker(sandbox, asker.sync, fetch_timeout=0.5)) as hasty:
        caught, _ = hasty.failing()
    assert "still working" in str(caught)
    assert time.monotonic() - began < 3


def test_a_rejected_temporary_token_is_replaced(asker: Asker, sandbox: Sandbox) -> None:
    """After 401 the reply has not begun, and a new token is requested."""
    sandbox.set_faults(chunks=SAY, refuse=(Refusal("get-response", 401),))
    assert asker.ask().text == WHOLE
    assert len(sandbox.log.of("generate_secret")) == 1


@pytest.mark.parametrize(
    ("status", "retry_after", "times"),
    [(429, None, 2), (503, "0", 2), (503, None, 1), (500, "0", 1)],
)
def test_a_question_is_repeated_only_if_it_was_not_accepted(
    asker: Asker, sandbox: Sandbox, status: int, retry_after: str | None, times: int
) -> None:
    """After 500, or 503 without Retry-After, it may have been accepted and charged."""
    sandbox.set_faults(refuse=(Refusal("get_inference", status, retry_after=retry_after),))
    with contextlib.suppress(AeronError):
        asker.ask()
    assert len(sandbox.log.of("get_inference")) == times


def test_a_question_without_a_response_is_not_repeated(asker: Asker, sandbox: Sandbox) -> None:
    """It may have been accepted."""
    sandbox.set_faults(refuse=(Refusal("get_inference", page="drop", accepted=True),))
    caught, reply = asker.failing()
    assert "may have been accepted" in str(caught)
    assert reply.status == "incomplete"
    assert len(sandbox.log.of("get_inference")) == 1


def test_an_unknown_conversation(asker: Asker) -> None:
    caught, _ = asker.failing(context_token="7c9e6679-7425-40de-944b-e07fc1f90ae7")
    assert isinstance(caught, TokenError)


def test_images_are_rejected(asker: Asker, sandbox: Sandbox) -> None:
    """Nothing is sent."""
    caught, _ = asker.failing(images=("https://example.test/a.png",))
    assert isinstance(caught, UsageError)
    assert len(sandbox.log) == 0


@pytest.mark.parametrize("call", ["fetch", "history"])
def test_nothing_can_be_fetched(asker: Asker, sandbox: Sandbox, call: str) -> None:
    with pytest.raises(UsageError, match="has no call"):
        asker.call(call, "7c9e6679-7425-40de-944b-e07fc1f90ae7")
    assert len(sandbox.log) == 0


def test_temporary_tokens_are_not_shown(
    asker: Asker, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """In errors, reprs and logs."""
    with caplog.at_level(logging.DEBUG, "aeron_magic"):
        sandbox.set_faults(chunks=SAY, cut_after=FIRST_EVENT, generation_time=0.0)
        caught, reply = asker.failing()
    (opened,) = sandbox.log.of("get-response")
    assert opened.query is not None
    shown = "\n".join([*caught.lines(), repr(reply), repr(asker.client), caplog.text])
    assert opened.query["token"] not in shown
