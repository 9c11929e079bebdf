"""Both clients against the embedded sandbox: each test is run for the plain and the async one."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from each_case import each_case

from aeron_magic import (
    AeronError,
    AsyncClient,
    AsyncStream,
    Client,
    Message,
    Reply,
    Stream,
    ask_many,
)
from aeron_magic.client import tls
from aeron_magic.client.aiohttp_transport import AiohttpTransport
from aeron_magic.errors import (
    AuthenticationError,
    FailedReply,
    IncompleteReply,
    Interrupted,
    RateLimited,
    ServiceError,
    TokenError,
    UnexpectedAnswer,
    Unreachable,
    UsageError,
    ValueRefused,
)
from aeron_magic.sandbox import Faults, Refusal, Sandbox
from aeron_magic.services.settings import resolve_settings

WORDS = "one two three four five six seven eight nine ten"
KINDS = ("sync", "async", "many")


class ManyClient(AsyncClient):
    """The async client on the transport of batches."""

    _transport_class = AiohttpTransport


CLIENTS: dict[str, type[Client | AsyncClient]] = {
    "sync": Client,
    "async": AsyncClient,
    "many": ManyClient,
}


class Caller:
    """The same blocking calls for each client."""

    def __init__(self, kind: str, base_url: str, **options: Any) -> None:
        self.runner = asyncio.Runner()
        options = {"client_id": "me", "client_secret": "s3cr3t-0815", "timeout": 5.0, **options}
        self.client: Client | AsyncClient = CLIENTS[kind](base_url=base_url, **options)

    def _done(self, value: Any) -> Any:
        return self.runner.run(value) if asyncio.iscoroutine(value) else value

    def ask(self, *args: Any, **options: Any) -> Reply:
        reply: Reply = self._done(self.client.ask(*args, **options))
        return reply

    def fetch(self, *args: Any, **options: Any) -> Reply:
        reply: Reply = self._done(self.client.fetch(*args, **options))
        return reply

    def history(self, *args: Any) -> list[Message]:
        messages: list[Message] = self._done(self.client.history(*args))
        return messages

    def pieces(self, text: str, most: int | None = None, **options: Any) -> tuple[list[str], Reply]:
        """Read at most ``most`` pieces and leave the stream; the pieces and the reply."""
        stream = self.client.stream(text, **options)
        if isinstance(stream, Stream):
            found = []
            with stream:
                for piece in stream:
                    found.append(piece)
                    if len(found) == most:
                        break
            return found, stream.reply
        return self.runner.run(self._apieces(stream, most))

    async def _apieces(self, stream: AsyncStream, most: int | None) -> tuple[list[str], Reply]:
        found = []
        async with stream:
            async for piece in stream:
                found.append(piece)
                if len(found) == most:
                    break
        return found, stream.reply

    def close(self) -> None:
        self._done(self.client.close())
        self.runner.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """One for all tests of this file: starting one takes longer than a test."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    """The server without faults, with short answers and an empty log."""
    server.faults = Faults(say="So it is.")
    server.log.clear()
    return server


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Callable[..., Caller]]:
    """Creates clients of one kind, by default for the sandbox."""
    callers: list[Caller] = []

    def new(base_url: str = sandbox.aeronpay_url, **options: Any) -> Caller:
        callers.append(Caller(request.param, base_url, **options))
        return callers[-1]

    yield new
    for caller in callers:
        caller.close()


@pytest.fixture
def caller(make: Callable[..., Caller]) -> Caller:
    return make()


def create_count(sandbox: Sandbox) -> int:
    return len(sandbox.log.of("create-response"))


def closed_early(sandbox: Sandbox, index: int = 0) -> bool:
    """Whether the sandbox notices within a second that the client closed the connection."""
    return sandbox.log.wait(lambda seen: seen[index].closed_by_client, 1.0)


# Complete replies.


@pytest.mark.parametrize("stream", [True, False])
def test_a_question_is_answered(caller: Caller, sandbox: Sandbox, stream: bool) -> None:
    """Streamed or not, with all metadata."""
    sandbox.set_faults(say=WORDS)
    reply = caller.ask("Well?", stream=stream)
    assert (reply.text, reply.status, reply.service) == (WORDS, "complete", "aeronpay")
    assert str(reply.context_token).startswith("apay_")
    assert reply.parent_context_token is None
    assert reply.msg_id.startswith("msg_")
    assert reply.first_chunk_seconds is not None
    assert 0 < reply.first_chunk_seconds <= reply.seconds
    assert sandbox.log[0].body["stream"] is stream


def test_pieces_arrive_as_they_are_sent(caller: Caller, sandbox: Sandbox) -> None:
    """Joined they are the reply; pieces that wait for a busy reader arrive as one."""
    sandbox.set_faults(say=WORDS, pause=0.005)
    pieces, reply = caller.pieces("Well?")
    assert 1 < len(pieces) <= 10
    assert "".join(pieces) == reply.text == WORDS


@pytest.mark.parametrize("order", ["swapped", "repeated", "gap"])
def test_pieces_are_in_order(caller: Caller, sandbox: Sandbox, order: str) -> None:
    """With swapped, repeated or missing chunks."""
    sandbox.set_faults(say=WORDS, order=order)
    pieces, reply = caller.pieces("Well?")
    assert "".join(pieces) == reply.text == WORDS


@pytest.mark.parametrize("rule", ["new", "same"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_conversation_continues_by_either_rule_for_tokens(kind: str, rule: Any) -> None:
    """A token for each reply, or one for the conversation."""
    with Sandbox(token_rule=rule) as sandbox:
        caller = Caller(kind, sandbox.aeronpay_url)
        token = None
        for text in ("a", "b", "c"):
            token = caller.ask(text, context_token=token).context_token
        asked = [message.text for message in caller.history(token) if message.role == "user"]
        caller.close()
    assert asked[-1] == "c"
    assert [seen.body.get("context_token") is None for seen in sandbox.log][:3] == [
        True,
        False,
        False,
    ]


def test_without_a_returned_token_the_sent_one_is_kept(caller: Caller, sandbox: Sandbox) -> None:
    token = caller.ask("a").context_token
    sandbox.set_faults(tokens=False)
    assert caller.ask("b", context_token=token).context_token == token
    assert caller.ask("c").context_token is None


def test_history_has_the_requested_order(caller: Caller) -> None:
    """By default the oldest first; the service leaves out the newest answer."""
    token = caller.ask("b", caller.ask("a").context_token).context_token
    forth = [(message.role, message.text) for message in caller.history(token)]
    assert [role for role, _ in forth] == ["user", "assistant", "user"]
    assert [text for role, text in forth if role == "user"] == ["a", "b"]
    back = [(message.role, message.text) for message in caller.history(token, "desc")]
    assert back == forth[::-1]


def test_images_are_sent(caller: Caller, sandbox: Sandbox) -> None:
    """In their order."""
    urls = ["https://a.test/1.png", "http://a.test/2.png?a=b"]
    caller.ask("Well?", images=urls)
    caller.ask("Well?", images=urls[0])
    assert [seen.body["user"]["images"] for seen in sandbox.log] == [urls, urls[:1]]


@each_case("framing", ["sse", "sse-event", "sse-multiline", "ndjson", "json", "pretty", "object"])
@each_case("line_end", ["lf", "crlf", "cr"])
def test_every_framing_is_read(
    caller: Caller, sandbox: Sandbox, framing: str, line_end: str
) -> None:
    """With loose types, unknown events, a byte-order mark and reads of one byte."""
    sandbox.set_faults(
        say="naïve पैसा 💸",
        framing=framing,
        line_end=line_end if framing.startswith("sse") else "lf",
        bom=True,
        extra=True,
        number_codes=True,
        system_empty="null",
        write_size=7,
    )
    assert caller.ask("Well?").text == "naïve पैसा 💸"


# Cut streams.


def cut_at(caller: Caller, sandbox: Sandbox, cut: int) -> Reply | IncompleteReply:
    """The result of a reply that is cut after ``cut`` bytes."""
    sandbox.log.clear()
    how = ("reset", "close", "end")[cut % 3]
    sandbox.set_faults(cut_after=cut, cut_times=1, cut_how=how)
    try:
        return caller.ask("Well?")
    except IncompleteReply as error:
        return error


@pytest.mark.parametrize("step", [16, pytest.param(1, marks=pytest.mark.campaign)])
def test_a_reply_cut_anywhere_is_recovered_or_in_doubt(
    caller: Caller, sandbox: Sandbox, step: int
) -> None:
    """Over a real connection: the right text and status, and exactly one question in the log.

    The shared flow is tested with every byte elsewhere.
    """
    sandbox.set_faults(say="Cut", chunk_size=4)
    caller.ask("Well?")
    assert sandbox.log.wait(lambda log: log[-1].done)
    length = sandbox.log[-1].bytes_sent
    found = []
    for cut in range(isinstance(caller.client, AsyncClient), length, step):
        result = cut_at(caller, sandbox, cut)
        assert create_count(sandbox) == 1
        if isinstance(result, IncompleteReply):
            assert "may have been accepted" in str(result)
            assert result.context_token is None
            assert len(sandbox.log) == 1
            found.append("in doubt")
        else:
            assert result.text == "Cut"
            assert str(result.context_token).startswith("apay_")
            assert len(sandbox.log) == 2
            found.append(result.status)
    assert list(dict.fromkeys(found)) == ["in doubt", "recovered"]
    assert found == sorted(found)  # never in doubt after the token is known
    assert found.count("recovered") > len(found) / 2


def test_a_stall_is_a_loss_and_the_reply_is_fetched(
    make: Callable[..., Caller], sandbox: Sandbox
) -> None:
    """The timeout counts silence; the stalled connection is closed."""
    sandbox.set_faults(say=WORDS, stall_after=900)
    reply = make(timeout=0.2).ask("Well?")
    assert (reply.text, reply.status) == (WORDS, "recovered")
    assert 0.2 <= reply.seconds < 2
    assert closed_early(sandbox)


def test_a_slow_reply_is_not_a_stall(make: Callable[..., Caller], sandbox: Sandbox) -> None:
    """It may take longer than the timeout in all."""
    sandbox.set_faults(say=WORDS, pause=0.12)
    reply = make(timeout=0.8).ask("Well?")
    assert reply.status == "complete"
    assert reply.seconds > 0.9


def test_comments_keep_a_stream_alive(make: Callable[..., Caller], sandbox: Sandbox) -> None:
    """Even if nothing else arrives for longer than the timeout."""
    sandbox.set_faults(
        say=WORDS, stall_after=900, stall_how="comments", comment_every=0.05, stall_seconds=0.7
    )
    reply = make(timeout=0.3).ask("Well?")
    assert reply.status == "complete"
    assert reply.seconds > 0.7


def test_a_reply_that_is_cut_and_not_ready_is_polled(caller: Caller, sandbox: Sandbox) -> None:
    sandbox.set_faults(say=WORDS, cut_after=900, processing_fetches=1)
    assert caller.ask("Well?").status == "recovered"
    assert len(sandbox.log.of("fetch-response")) == 2


def test_a_reply_that_cannot_be_recovered_keeps_its_text(
    make: Callable[..., Caller], sandbox: Sandbox
) -> None:
    """In the exception, with the token to fetch it later."""
    sandbox.set_faults(say=WORDS, cut_after=900, processing_fetches=1000)
    with pytest.raises(IncompleteReply, match="processing") as caught:
        make(fetch_timeout=0.3).ask("Well?")
    assert caught.value.partial
    assert WORDS.startswith(caught.value.partial)
    assert str(caught.value.context_token) in caught.value.hint
    assert create_count(sandbox) == 1


def test_waiting_for_a_silent_service_ends_in_time(
    make: Callable[..., Caller], sandbox: Sandbox
) -> None:
    """`fetch_timeout` includes the time of the requests."""
    caller = make(fetch_timeout=1.0, timeout=30.0)
    token = caller.ask("Well?").context_token
    sandbox.set_faults(latency=30.0)
    began = time.monotonic()
    with pytest.raises(AeronError):
        caller.fetch(token)
    assert time.monotonic() - began < 3


# Fetching.


def test_a_reply_can_be_fetched(caller: Caller) -> None:
    reply = caller.ask("Well?")
    again = caller.fetch(reply.context_token)
    assert (again.text, again.status, again.msg_id) == (reply.text, "complete", reply.msg_id)


def test_a_fetch_without_waiting_may_return_a_processing_reply(
    caller: Caller, sandbox: Sandbox
) -> None:
    token = caller.ask("Well?").context_token
    sandbox.set_faults(processing_fetches=5)
    assert caller.fetch(token, wait=False).status == "processing"


# Error responses.


@each_case(
    ("refusal", "kind"),
    [
        (Refusal(status=401), AuthenticationError),
        (Refusal(status=403), AuthenticationError),
        (Refusal(status=403, page="html"), AuthenticationError),
        (Refusal(status=500), ServiceError),
        (Refusal(status=502, page="html"), ServiceError),
        (Refusal(status=503, page="empty"), ServiceError),
        (Refusal(status=400), ServiceError),
        (Refusal(status=200), ServiceError),
        (Refusal(status=200, page="html"), UnexpectedAnswer),
        (Refusal(status=404, page="html"), UnexpectedAnswer),
        (Refusal(status=302, page="redirect"), UnexpectedAnswer),
        (Refusal(status=307, page="redirect"), UnexpectedAnswer),
        (Refusal(status=200, page="empty"), IncompleteReply),
        (Refusal(page="drop"), IncompleteReply),
        (Refusal(status=500, accepted=True), ServiceError),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_response_has_its_exception_and_is_not_repeated(
    caller: Caller, sandbox: Sandbox, refusal: Refusal, kind: type[AeronError], stream: bool
) -> None:
    """With a hint; and the next question works."""
    sandbox.log.clear()
    sandbox.set_faults(refuse=[refusal])
    with pytest.raises(AeronError) as caught:
        caller.ask("Well?", stream=stream)
    assert type(caught.value) is kind
    assert caught.value.hint
    assert len(sandbox.log) == 1
    assert caller.ask("Well?").status == "complete"


@pytest.mark.parametrize(
    "refusal",
    [Refusal(status=429, retry_after="0"), Refusal(status=503, retry_after="0")],
    ids=["429", "503"],
)
def test_a_question_that_was_not_accepted_is_repeated(
    caller: Caller, sandbox: Sandbox, refusal: Refusal
) -> None:
    """With a new reference id."""
    sandbox.set_faults(refuse=[refusal])
    assert caller.ask("Well?").status == "complete"
    ids = [seen.body["client_referenceId"] for seen in sandbox.log]
    assert len(set(ids)) == len(ids) == 2


def test_a_long_retry_after_is_reported_and_not_waited_for(
    caller: Caller, sandbox: Sandbox
) -> None:
    sandbox.set_faults(refuse=[Refusal(status=429, retry_after="3600", times=9)])
    with pytest.raises(RateLimited, match="3600"):
        caller.ask("Well?")
    assert len(sandbox.log) == 1


def test_an_unknown_token_is_reported(caller: Caller, sandbox: Sandbox) -> None:
    """By every call that has one, with a remedy for that call."""
    remedies = {
        caller.fetch: "Check it",
        caller.history: "Check it",
        lambda token: caller.ask("Well?", token): "Start a new conversation (-n, in Python",
    }
    for call, remedy in remedies.items():
        with pytest.raises(TokenError) as caught:
            call("apay_unknown")
        assert caught.value.service_message == "Invalid context token."
        assert remedy in caught.value.hint
    assert len(sandbox.log) == 3


def test_an_expired_token_is_reported(caller: Caller, sandbox: Sandbox) -> None:
    token = caller.ask("Well?").context_token
    sandbox.set_faults(expired=[token])
    with pytest.raises(TokenError):
        caller.ask("And?", token)


@pytest.mark.parametrize("generation", ["fails", "fails-with-event"])
def test_a_failed_reply_keeps_its_text(caller: Caller, sandbox: Sandbox, generation: str) -> None:
    """Whether the stream or fetch-response reports the failure."""
    sandbox.set_faults(say=WORDS, generation=generation)
    with pytest.raises(FailedReply) as caught:
        caller.ask("Well?")
    assert caught.value.partial == "one two three four five"
    assert caught.value.context_token
    assert create_count(sandbox) == 1


@pytest.mark.usefixtures("short_delays")
def test_an_unreachable_host_is_reported(make: Callable[..., Caller]) -> None:
    """With its address, after a few attempts."""
    with Sandbox() as gone:
        address = gone.aeronpay_url
    with pytest.raises(Unreachable) as caught:
        make(address).ask("Well?")
    assert address in str(caught.value)


@each_case(
    ("arguments", "options"),
    [
        (("",), {}),
        ((" \n",), {}),
        ((None,), {}),
        ((5,), {}),
        (("Well?",), {"images": ["ftp://a.test/1.png"]}),
        (("Well?",), {"images": ["https://"]}),
        (("Well?",), {"images": ["https://a.test/1 2.png"]}),
        (("Well?",), {"images": ["data:image/png;base64,AAAA"]}),
        (("Well?",), {"images": [None]}),
        (("Well?",), {"images": 5}),
        (("Well?",), {"context_token": 7}),
        (("Well?",), {"context_token": " "}),
        (("half a \ud83d",), {}),
    ],
)
def test_an_invalid_question_is_not_sent(
    caller: Caller, sandbox: Sandbox, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """The error has a hint."""
    with pytest.raises(UsageError) as caught:
        caller.ask(*arguments, **options)
    assert caught.value.hint
    assert ("not int" in str(caught.value)) is (arguments == (5,) or options == {"images": 5})
    assert len(sandbox.log) == 0


@pytest.mark.parametrize("token", [None, "", "  ", 7])
def test_an_invalid_token_is_not_sent(caller: Caller, sandbox: Sandbox, token: Any) -> None:
    for call in (caller.fetch, caller.history):
        with pytest.raises(UsageError):
            call(token)
    assert len(sandbox.log) == 0


def test_a_question_with_the_client_secret_is_not_sent(
    make: Callable[..., Caller], sandbox: Sandbox
) -> None:
    secret = "hush-4f1c-hush"
    caller = make(client_secret=secret)
    for text in (f"my {secret}", secret.upper(), secret.encode().hex()):
        with pytest.raises(ValueRefused) as caught:
            caller.ask(text)
        assert secret not in "".join(caught.value.lines())
    with pytest.raises(ValueRefused):
        caller.ask("Look", images=(f"https://example.com/{secret}.png",))
    with pytest.raises(ValueRefused):
        caller.ask("And then?", secret)
    assert not create_count(sandbox)


def test_null_is_never_sent(caller: Caller, sandbox: Sandbox) -> None:
    """By any call."""
    token = caller.ask("Well?", context_token=None, images=()).context_token
    caller.fetch(token)
    caller.history(token)
    assert [body for body in (seen.body for seen in sandbox.log) if None in body.values()] == []
    assert len({seen.body["client_referenceId"] for seen in sandbox.log}) == 3


# Streams that are left, interrupted or cancelled.


def test_a_stream_that_is_left_closes_its_connection(caller: Caller, sandbox: Sandbox) -> None:
    """At once; the text is kept, and the next question works."""
    sandbox.set_faults(say=WORDS, stall_after=900)
    pieces, reply = caller.pieces("Well?", most=1)
    assert (len(pieces), reply.status) == (1, "interrupted")
    assert reply.text == pieces[0]
    assert WORDS.startswith(reply.text)
    assert closed_early(sandbox)
    sandbox.set_faults(stall_after=None)
    assert caller.ask("Well?").status == "complete"
    assert create_count(sandbox) == 2


def test_a_stream_that_is_never_read_sends_nothing(caller: Caller, sandbox: Sandbox) -> None:
    """The request is sent when the first piece is read."""
    stream = caller.client.stream("Well?")
    if isinstance(stream, Stream):
        stream.close()
    else:
        caller.runner.run(stream.close())
    assert stream.reply.status == "interrupted"
    assert len(sandbox.log) == 0


def test_a_stream_that_is_collected_closes_its_connection(sandbox: Sandbox) -> None:
    sandbox.set_faults(say=WORDS, stall_after=900)
    with Client(base_url=sandbox.aeronpay_url, client_id="a", client_secret="b") as client:
        next(iter(client.stream("Well?")))
        gc.collect()
        assert closed_early(sandbox)


def test_an_async_stream_that_is_collected_closes_its_connection(sandbox: Sandbox) -> None:
    sandbox.set_faults(say=WORDS, stall_after=900)

    async def drop() -> bool:
        options = {"client_id": "a", "client_secret": "b"}
        async with AsyncClient(base_url=sandbox.aeronpay_url, **options) as client:
            async for _ in client.stream("Well?"):
                break
            gc.collect()
            return await asyncio.to_thread(closed_early, sandbox)

    assert asyncio.run(drop())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the first loop's connection
def test_an_async_client_is_used_by_one_loop_after_another(sandbox: Sandbox) -> None:
    """As by each ``asyncio.run`` of a script; connections belong to a loop."""
    client = AsyncClient(base_url=sandbox.aeronpay_url, client_id="a", client_secret="b")
    for question in ("One?", "Two?"):
        assert asyncio.run(client.ask(question)).is_complete
    asyncio.run(client.close())
    gc.collect()


def stalled(sandbox: Sandbox) -> bool:
    return sandbox.log.wait(lambda seen: bool(seen) and seen[-1].bytes_sent == 900)


def test_a_cancelled_stream_closes_its_connection(sandbox: Sandbox) -> None:
    """At once, even while it waits; the text is kept."""
    sandbox.set_faults(say=WORDS, stall_after=900)

    async def cancel() -> tuple[AsyncStream, float]:
        options = {"client_id": "a", "client_secret": "b"}
        async with AsyncClient(base_url=sandbox.aeronpay_url, **options) as client:
            stream = client.stream("Well?")
            task = asyncio.create_task(stream.finish())
            assert await asyncio.to_thread(stalled, sandbox)
            while not stream.accumulator.displayed:
                await asyncio.sleep(0)
            began = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(closed_early, sandbox)
            return stream, time.monotonic() - began

    stream, seconds = asyncio.run(cancel())
    assert seconds < 0.5
    assert stream.reply.status == "interrupted"
    assert stream.reply.text.startswith("one")


def test_an_interrupt_raises_interrupted_with_the_text(sandbox: Sandbox) -> None:
    """Ctrl-C while the stream is silent; the exception is also a KeyboardInterrupt."""
    sandbox.set_faults(say=WORDS, stall_after=900)

    def send_sigint() -> None:
        if stalled(sandbox):
            time.sleep(0.05)  # until the main thread reads
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send_sigint)
    with Client(base_url=sandbox.aeronpay_url, client_id="a", client_secret="b") as client:
        thread.start()
        stream = client.stream("Well?")
        with pytest.raises(Interrupted) as caught:
            stream.finish()
        thread.join()
    assert isinstance(caught.value, KeyboardInterrupt)
    assert caught.value.__suppress_context__
    assert caught.value.partial.startswith("one")
    assert caught.value.context_token
    assert stream.reply.status == "interrupted"
    assert closed_early(sandbox)


def test_the_reply_can_be_seen_at_any_time(caller: Caller, sandbox: Sandbox) -> None:
    """It is processing, with the text so far, until it is complete."""
    sandbox.set_faults(say=WORDS, stall_after=900, stall_seconds=0.2)
    stream = caller.client.stream("Well?")
    assert (stream.reply.status, stream.reply.text) == ("processing", "")
    if isinstance(stream, Stream):
        assert next(iter(stream)).startswith("one")
        assert stream.reply.status == "processing"
        assert stream.finish().status == "complete"
        stream.close()
    else:
        assert caller.runner.run(anext(aiter(stream))).startswith("one")
        assert stream.reply.status == "processing"
        assert caller.runner.run(stream.finish()).status == "complete"
        caller.runner.run(stream.close())
    assert stream.reply.text == WORDS


def test_the_reply_of_a_failed_stream_has_its_text(caller: Caller, sandbox: Sandbox) -> None:
    sandbox.set_faults(say=WORDS, generation="fails-with-event")
    stream = caller.client.stream("Well?")
    with pytest.raises(FailedReply):
        stream.finish() if isinstance(stream, Stream) else caller.runner.run(stream.finish())
    assert stream.reply.status == "failed"
    assert stream.reply.text.startswith("one")


def test_the_repr_of_a_client_names_its_service(caller: Caller, sandbox: Sandbox) -> None:
    assert (
        repr(caller.client)
        == f"{type(caller.client).__name__}('aeronpay', '{sandbox.aeronpay_url}')"
    )


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("wrong", [{"limits": 5}, {"limits": "body"}, {"settings": {"a": 1}}])
def test_a_wrong_type_is_a_usage_error(kind: type, wrong: dict[str, Any]) -> None:
    """A traceback with arguments, as of `%xmode Verbose`, would show the client secret."""
    with pytest.raises(UsageError, match=r"not (int|str|dict)"):
        kind(client_id="me", client_secret="mine", **wrong)


def test_a_closed_client_raises_a_usage_error(caller: Caller) -> None:
    caller._done(caller.client.close())
    with pytest.raises(UsageError, match="client is closed"):
        caller.ask("Too late?")
    caller._done(caller.client.close())


def ask_with(**options: Any) -> None:
    """Ask many, with settings of these options."""
    ask_many(["a"], settings=resolve_settings(**options))


@pytest.mark.parametrize("kind", [Client, AsyncClient, ask_with])
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SSL_CERT_FILE", "/no/such/file"),
        ("ALL_PROXY", "gopher://127.0.0.1:9"),
        ("HTTPS_PROXY", "http://me:pass-word@127.0.0.1:port"),
        ("HTTPS_PROXY", "http://me:pass#word@127.0.0.1:8080"),
    ],
)
def test_an_invalid_environment_is_reported(
    kind: Callable[..., object], variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the client is created, and by a batch."""
    monkeypatch.setenv(variable, value)
    tls._tls.cache_clear()
    with pytest.raises(UsageError, match="environment") as caught:
        kind(base_url="https://service.example", client_id="me", client_secret="mine")
    assert variable in str(caught.value)
    assert value not in str(caught.value)


def test_threads_share_a_client(sandbox: Sandbox) -> None:
    """Each of sixty gets the reply to its question, in its own conversation."""
    questions = ["Say one", "Say two", "Say three"]
    sandbox.set_faults(say=None)
    with Client(base_url=sandbox.aeronpay_url, client_id="me", client_secret="a-secret") as client:
        expected = {text: client.ask(text).text for text in questions}
        assert len(set(expected.values())) == 3
        sandbox.log.clear()

        def ask(number: int) -> tuple[Reply, Reply]:
            first = client.ask(questions[number % 3])
            return first, client.ask(questions[(number + 1) % 3], context_token=first.context_token)

        with ThreadPoolExecutor(60) as pool:
            replies = list(pool.map(ask, range(60)))
    for number, (first, second) in enumerate(replies):
        assert first.text == expected[questions[number % 3]]
        assert second.is_complete
        assert second.parent_context_token == first.context_token
    assert len({reply.context_token for pair in replies for reply in pair}) == 120
    assert len(sandbox.log.of("create-response")) == 120


def test_an_asynchronous_client_without_asyncio_says_so(sandbox: Sandbox) -> None:
    """As under trio, which runs coroutines itself. Nothing is sent."""
    client = AsyncClient(base_url=sandbox.aeronpay_url, client_id="me", client_secret="a-secret")
    for call in (client.ask("Well?"), client.fetch("a-token"), client.close()):
        with pytest.raises(UsageError, match="needs asyncio"):
            call.send(None)
    assert not len(sandbox.log)
