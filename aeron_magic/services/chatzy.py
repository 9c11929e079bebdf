"""Chatzy's AI agents: a conversation, a question, and the stream of its reply, as flows.

The vendor's page *Stream Conversation AI Agent Response* says what the stream is made of; its API
reference describes the other calls. A question takes three of them: init_conversation (where none
is continued), get_inference, and get-response, which is opened with the temporary token that
get_inference gave: it serves once, and for a minute. A conversation's ``context_token`` is its
``conversation_id``; whether the reply comes in chunks or whole is the agent's setting.

A signal is the data of a whole event, bare or as ``{"signal": …}``, and never a part of a text.

Lost streams
------------
What a stream that is opened a second time gives is not documented: it may repeat, continue or have
nothing. No look at the text can tell the first two apart for sure, since a text may repeat itself.
So a stream is opened again only where nothing of the reply can have been missed: not one byte of an
event came, and get_stream_status says that the reply has not begun. In every other case the reply
is incomplete, because no call returns its text: doubled or with a hole it would be wrong.

=================  ===========================  ================================================
``stream_status``  ``response_processing_…``    what is done
=================  ===========================  ================================================
``is_streaming``   null                         opened again with a new secret, if nothing came
either             ``processing``               ask for the status again, with growing pauses
``is_streaming``   ``completed``                the same: it is not over yet (not documented)
``completed``      ``completed``                incomplete: the text stays on the server
``completed``      null                         incomplete: nothing is under way (not documented)
=================  ===========================  ================================================
"""

from __future__ import annotations

import re
from typing import Any, Literal

from aeron_magic.errors import (
    AeronError,
    AuthenticationError,
    FailedReply,
    IncompleteReply,
    UsageError,
)
from aeron_magic.protocol.events import (
    Chunk,
    Completed,
    Event,
    Introduced,
    Recovering,
    Started,
    ToolCalled,
    Unknown,
)
from aeron_magic.protocol.flow import (
    Close,
    ConnectionLost,
    Flow,
    Question,
    Request,
    Response,
    open_stream,
    read,
    send,
)
from aeron_magic.protocol.framing import Frame, FrameDecoder
from aeron_magic.protocol.http_errors import (
    decode_response,
    error_for_status,
    maybe_accepted,
    unexpected_body,
    unreachable,
)
from aeron_magic.protocol.json_values import decode_json
from aeron_magic.protocol.retry import PollDeadline, is_safe_to_resend, is_transient, retrying
from aeron_magic.replies.reply import Message
from aeron_magic.services.settings import Settings

__all__ = ["Service"]

MAX_REOPENS = 5
"""How often a stream that has given nothing is opened again."""

WHICH_AGENT = "Check the agent's id (--chatbot-id, CHATZY_CHATBOT_ID), and whether it is public."
REPEAT = "Ask the agent to repeat its answer: the conversation goes on with this context_token."

ENDS = ("close_connection", "[DONE]")
OVERFLOWS = {
    "close_connection_incomplete_content": "while it wrote",
    "close_connection_incomplete_tool_calls": "while it called a tool",
    "close_connection_incomplete_request": "while it answered",
}
RESTRICTIONS = {"[FROZEN]": "frozen", "[BLACKLISTED]": "blacklisted"}
ERROR = "__ERROR__"

# What get_stream_status says: stream_status, response_processing_status.
NOT_BEGUN = ("is_streaming", None)
UNFINISHED = (
    ("is_streaming", "processing"),
    ("completed", "processing"),
    ("is_streaming", "completed"),
)
OVER: dict[tuple[str | None, str | None], str] = {
    NOT_BEGUN: "opening it again could double or skip text",
    ("completed", "completed"): (
        "the reply is done on the server, but Chatzy has no call that returns its text"
    ),
    ("completed", None): "the server has no reply under way",
}

# Comments and reconnection times keep a stream alive and say nothing of the reply.
_KEEP_ALIVE = re.compile(rb"(?:\xef\xbb\xbf)?(?:(?::|retry:)[^\r\n]*+|[\r\n]+)*+")


class Service:
    """Chatzy's public flow for one agent.

    Parameters
    ----------
    settings
        The addresses of the API and of the stream, the agent's id, and the time-outs.
    """

    name = "chatzy"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def introduction(self) -> Flow[None]:
        """init_conversation: the agent's introductory message, and the conversation's token."""
        conversation = yield from self._begin()
        yield [Started(conversation)]

    def ask(self, question: Question) -> Flow[None]:
        """init_conversation where none is continued; get_inference; the stream of the reply.

        ``question.stream`` changes nothing: the service has no such choice in a request.

        Raises
        ------
        UsageError
            The question has images; nothing was sent.
        """
        if question.images:
            raise UsageError("Chatzy takes no images.", hint="Leave them out, or ask AeronPay.")
        conversation = question.context_token
        if conversation is None:
            conversation = yield from self._begin()
        request = self.build_request(question, conversation)
        answer = yield from retrying(lambda: request, is_safe_to_resend)
        if isinstance(answer, ConnectionLost):
            if answer.sent:
                raise maybe_accepted(answer.reason)
            raise unreachable(answer, request.url)
        data = _data(answer, request.url)
        yield [Started(conversation)]
        yield from self._read_reply(conversation, _text(data.get("temp_token")))

    def fetch(self, token: str, *, wait: bool = True) -> Flow[None]:
        """Chatzy has no call that returns a reply: always a UsageError."""
        yield from ()
        raise UsageError(
            "Chatzy has no call that returns a stored reply.",
            hint="`%aeron history` shows the transcript that is kept here.",
            context_token=token,
        )

    def history(self, token: str, order: Literal["asc", "desc"] = "asc") -> Flow[list[Message]]:
        """Chatzy has no call that returns a conversation: always a UsageError."""
        yield from ()
        raise UsageError(
            "Chatzy has no call that returns a conversation's messages.",
            hint="`%aeron history` (without --remote) shows the transcript that is kept here.",
            context_token=token,
        )

    def build_request(self, question: Question, conversation: str | None = None) -> Request:
        """The request that asks ``question``; without ``conversation``, in the question's own."""
        body: dict[str, Any] = {"chatbot_id": self.settings.chatbot_id}
        if known := conversation or question.context_token:
            body["conversation_id"] = known
        body["messages"] = {"role": "user", "content": question.text}
        body["conversation_type"] = "website"
        return Request("POST", f"{self.settings.base_url}/get_inference", json=body)

    def _get(self, endpoint: str, **params: str) -> Request:
        return Request("GET", f"{self.settings.base_url}/{endpoint}", params=params)

    def _call(self, endpoint: str, **params: str) -> Flow[dict[str, Any]]:
        """The ``data`` of a call that is safe to repeat."""
        request = self._get(endpoint, **params)
        answer = yield from retrying(lambda: request, is_transient)
        if isinstance(answer, ConnectionLost):
            raise unreachable(answer, request.url)
        return _data(answer, request.url)

    def _begin(self) -> Flow[str]:
        """A new conversation, perhaps with an introduction; its id. An unused one costs nothing."""
        agent = self.settings.chatbot_id
        data = yield from self._call("init_conversation", chatbot_id=agent)
        conversation = _text(data.get("conversation_id"))
        if conversation is None or data.get("valid") is False:
            raise AuthenticationError(f"Chatzy has no agent {agent} to talk to.", hint=WHICH_AGENT)
        if introduced := _introduction(data.get("introductory_message")):
            yield [introduced]
        return conversation

    def _read_reply(self, conversation: str, secret: str | None) -> Flow[None]:
        """Read the reply's stream; open it again where that is safe."""
        deadline = PollDeadline(self.settings.fetch_timeout)
        for opened in range(1 + MAX_REOPENS):
            parser = _StreamParser(reopened=opened > 0)
            ended = "no token came to open it with"
            if secret is not None:
                ended = yield from self._read(secret, parser, deadline)
            if parser.done:
                return
            yield [Recovering(ended)]
            if opened:
                yield from deadline.sleep()
            try:
                yield from self._await_beginning(conversation, parser, ended, deadline)
                data = yield from self._call("generate_secret", conversation_id=conversation)
                secret = _text(data.get("temp_token"))
            except IncompleteReply:
                raise
            except AeronError as error:
                raise _incomplete(ended, f"its state is not known: {error}", error) from None
        raise _incomplete(ended, f"opening it again failed {MAX_REOPENS} times")

    def _read(self, secret: str, parser: _StreamParser, deadline: PollDeadline) -> Flow[str]:
        """Read one stream to its end; why it ended, where the reply is not whole."""
        request = Request(
            "GET", f"{self.settings.stream_url}/get-response", params={"token": secret}
        )
        try:
            # One attempt: the token may be spent by it, and what follows a loss asks for another.
            answer = yield from open_stream(request)
            deadline.consume(answer)
            if isinstance(answer, ConnectionLost):
                return answer.reason
            if answer.status == 401:
                return "the temporary token was refused: it was used before, or is too old"
            if is_transient(answer):
                return f"the stream was refused with HTTP status {answer.status}"
            if not answer.ok:
                _data(answer, request.url)
            decoder = FrameDecoder(answer.headers.get("content-type", ""))
            data = yield from read()
            while isinstance(data, bytes) and data:
                if events := parser.feed(data, decoder.feed(data)):
                    yield events
                if parser.done:
                    yield Close(finished=parser.error is None)
                    if parser.error is not None:
                        raise parser.error
                    return ""
                data = yield from read()
            decoder.close()
            yield Close()
            if decoder.kind == "other":
                raise unexpected_body(answer.status, decoder.unparsed, request.url)
        except AeronError as error:
            error.redact([secret])
            raise
        if isinstance(data, ConnectionLost):
            deadline.consume(data)
            return data.reason
        return "the stream ended early"

    def _await_beginning(
        self, conversation: str, parser: _StreamParser, ended: str, deadline: PollDeadline
    ) -> Flow[None]:
        """get_stream_status until it is known what became of the reply.

        Returns where the stream can be opened again without missing anything; else raises.
        """
        request = self._get("get_stream_status", conversation_id=conversation)
        while True:
            result = yield from send(request)
            deadline.consume(result)
            if not is_transient(result) or deadline.expired:
                state = _status(result, request.url)
                if state == NOT_BEGUN and not parser.began:
                    return
                if state not in UNFINISHED:
                    raise _incomplete(ended, OVER.get(state, f"its state is {state}: unheard of"))
            if deadline.expired:
                seconds = f"{self.settings.fetch_timeout:g} s"
                raise _incomplete(ended, f"the server is still working on it after {seconds}")
            yield from deadline.sleep(result)


class _StreamParser:
    """What one stream has said so far."""

    def __init__(self, *, reopened: bool) -> None:
        self.reopened = reopened
        self.done = False
        self.error: AeronError | None = None
        """Raised after the events before it were handed on, so that their text is kept."""
        self.began = False
        """Whether anything came that may belong to an event, were it a single byte."""
        self._line = b""

    def feed(self, data: bytes, frames: list[Frame]) -> list[Event]:
        """The events of ``frames``, which ``data`` completed; none after the end."""
        if not self.began:
            self._line += data
            self.began = _KEEP_ALIVE.fullmatch(self._line) is None
            self._line = self._line[max(self._line.rfind(b"\n"), self._line.rfind(b"\r")) + 1 :]
        events: list[Event] = []
        for frame in frames:
            if self.done:
                break
            try:
                said = decode_json(frame.data)
            except ValueError:
                said = frame.data
            if not isinstance(said, dict):
                self._handle_signal(str(said).strip(), {}, events)
                continue
            content, signal = said.get("content"), said.get("signal")
            if isinstance(content, str) and content:
                events.append(Chunk(content, msg_id=frame.id))
            if isinstance(signal, str):
                self._handle_signal(signal.strip(), said, events)
            elif not isinstance(content, str):
                events.append(Unknown("neither content nor signal"))
        return events

    def _handle_signal(self, signal: str, said: dict[str, Any], events: list[Event]) -> None:
        if signal == "call_again":
            events.append(ToolCalled())
        elif signal in ENDS:
            events.append(Completed(recovered=self.reopened))
            self.done = True
        elif (error := self._refused(signal, said)) is not None:
            self.error, self.done = error, True
        else:
            events.append(Unknown(signal[:80]))

    def _refused(self, signal: str, said: dict[str, Any]) -> AeronError | None:
        """The exception for a signal that ends the stream without a whole reply."""
        if signal.startswith(ERROR):
            text = signal.removeprefix(ERROR).removeprefix(":").strip()
            return FailedReply(
                "The agent could not answer.",
                hint="Ask again, or put the question another way.",
                service_message=text or _text(said.get("message")),
            )
        if signal in OVERFLOWS:
            return IncompleteReply(
                f"The reply was cut short: the model's context became full {OVERFLOWS[signal]}.",
                hint="Ask for less at once, or begin a new conversation.",
                service_message=signal,
            )
        if signal in RESTRICTIONS:
            return AuthenticationError(
                f"The agent's owner has restricted your access: it is {RESTRICTIONS[signal]}.",
                hint="Ask the agent's owner; asking the agent again changes nothing.",
                service_message=signal,
            )
        if signal != "no_message_found":
            return None
        if self.reopened:
            return _incomplete("it gave nothing", "the server has no more of the reply")
        return FailedReply(
            "The agent found no message to answer.",
            hint="Ask again; if it stays so, begin a new conversation.",
            service_message=signal,
        )


def _incomplete(ended: str, why: str, cause: AeronError | None = None) -> IncompleteReply:
    return IncompleteReply(
        f"The stream of the reply was lost ({ended}); {why.rstrip('.')}.",
        hint=REPEAT,
        status_code=cause.status_code if cause else None,
        service_message=cause.service_message if cause else None,
    )


def _data(answer: Response, url: str) -> dict[str, Any]:
    """The object ``data`` of an answer, or the refusal that stands in its place."""
    try:
        body = decode_response(answer, url)
        data = body.get("data")
        if not isinstance(data, dict):
            raise error_for_status(answer.status, body, url, answer)
    except AuthenticationError as error:
        error.hint = WHICH_AGENT
        raise
    return data


def _status(result: Response | ConnectionLost, url: str) -> tuple[str | None, str | None]:
    """``stream_status`` and ``response_processing_status``: in ``data``, else at the top."""
    if isinstance(result, ConnectionLost):
        raise unreachable(result, url)
    body = decode_response(result, url)
    data = body.get("data")
    place = data if isinstance(data, dict) and "stream_status" in data else body
    return _text(place.get("stream_status")), _text(place.get("response_processing_status"))


def _introduction(message: Any) -> Introduced | None:
    """The introductory message, unless there is none or it is switched off."""
    if not isinstance(message, dict) or message.get("switch") is False:
        return None
    text, buttons = _text(message.get("content")) or "", message.get("buttons")
    labels = tuple(filter(None, map(_text, buttons))) if isinstance(buttons, list) else ()
    return Introduced(text, labels) if text or labels else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
