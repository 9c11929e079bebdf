"""Chatzy's AI agents: init_conversation, get_inference and get-response, as flows.

The vendor's page *Stream Conversation AI Agent Response* describes the stream; its API reference
describes the other calls. A question takes three of them: init_conversation (for a new
conversation), get_inference, and get-response, which is opened with the temporary token of
get_inference. That token is valid once, for a minute. A conversation's ``context_token`` is its
``conversation_id``; whether the reply is streamed is a setting of the agent.

A signal is the data of a whole event, bare or as ``{"signal": …}``, never a part of a text.

Lost streams
------------
What a stream sends when it is opened again is not documented: it may repeat, continue or send
nothing, and the text cannot tell which, because a text may repeat itself. So a stream is opened
again only if no byte of an event was received and get_stream_status reports that the reply has not
begun. Otherwise the reply is incomplete, because no call returns its text. `UNFINISHED` and `OVER`
list the states of that call. Where the temporary token was missing or rejected, no stream was open
and nothing was missed: another token is requested at once.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar

from aeron_magic.errors import (
    AccessRestricted,
    AeronError,
    AuthenticationError,
    FailedReply,
    IncompleteReply,
    ServiceError,
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
    READ,
    Close,
    ConnectionLost,
    Flow,
    OpenStream,
    Question,
    Request,
    Response,
    Send,
)
from aeron_magic.protocol.framing import Frame, FrameDecoder
from aeron_magic.protocol.http_errors import (
    decode_response,
    error_for_response,
    error_for_status,
    is_about_a_token,
    json_object_of,
    no_reply,
    question_lost,
    say_if_in_doubt,
    unexpected_body,
)
from aeron_magic.protocol.json_values import decode_json, id_or_none, text_or_none
from aeron_magic.protocol.limits import limit_error
from aeron_magic.protocol.retry import PollDeadline, is_safe_to_resend, is_transient, retrying
from aeron_magic.protocol.service_words import (
    error_code,
    is_error,
    is_error_event,
    service_words,
    words_of_text,
)
from aeron_magic.replies.reply import Message
from aeron_magic.services.catalog import SERVICES
from aeron_magic.services.settings import Settings

T = TypeVar("T")

MAX_REOPENS = 5
"""Times that a stream without any event is opened again."""

MAX_RENEWALS = 2
"""Times that the temporary token is requested again before a stream was open."""

MAX_TOKEN = 8_000
"""Characters of a token that can be a part of an address."""

WHICH_AGENT = (
    "Check the agent's id (--chatbot-id, in Python chatbot_id=…; CHATZY_CHATBOT_ID), and whether "
    "it is public."
)
REPEAT = SERVICES["chatzy"].if_incomplete
ACCEPTED = "The question was accepted: asking it again may be charged a second time."

ENDS = ("close_connection", "[DONE]")
OVERFLOWS = {
    "close_connection_incomplete_content": "while it wrote",
    "close_connection_incomplete_tool_calls": "while it called a tool",
    "close_connection_incomplete_request": "while it answered",
}
RESTRICTIONS = {"[FROZEN]": "frozen", "[BLACKLISTED]": "blacklisted"}
_RESTRICTED = re.compile("|".join(map(re.escape, RESTRICTIONS)))
ERROR = "__ERROR__"
_KNOWN = (*ENDS, *OVERFLOWS, *RESTRICTIONS, "call_again", "no_message_found")
_SIGNALS = {signal.casefold(): signal for signal in _KNOWN}

# States of get_stream_status: stream_status, response_processing_status. The last of each group is
# not documented.
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
    ("completed", None): "the server has no reply in progress",
}

# Comments and reconnection times: they keep a stream alive and contain nothing of the reply.
_LINE_HEAD = 16  # bytes that suffice to know what a line is
_KEEP_ALIVE = re.compile(rb"(?:\xef\xbb\xbf)?(?:(?::|retry:)[^\r\n]*+|[\r\n]+)*+")


class Service:
    """Chatzy's public calls for one agent."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def introduction(self) -> Flow[None]:
        """init_conversation: the agent's introductory message, and the conversation's token."""
        conversation = yield from _restrictions(self._init_conversation())
        yield [Started(conversation)]

    def ask(self, question: Question) -> Flow[None]:
        """init_conversation for a new conversation; get_inference; the stream of the reply.

        ``question.stream`` is ignored: a request cannot choose it.

        Raises UsageError: the question has images; nothing was sent.
        """
        yield from _restrictions(self._ask(question))

    def _ask(self, question: Question) -> Flow[None]:
        if question.images:
            raise UsageError(
                "Chatzy does not accept images.", hint="Leave them out, or ask AeronPay."
            )
        conversation = question.context_token
        if conversation is None:
            conversation = yield from self._init_conversation()
        request = self.build_request(question, conversation)
        response = yield from retrying(
            lambda: request,
            lambda result: is_safe_to_resend(result) and not _accepted(result),
            patience=self.settings.timeout,
        )
        if isinstance(response, ConnectionLost):
            raise question_lost(response, request.url)
        try:
            data = _accepted(response) or _data(response, request.url)
        except ServiceError as error:
            raise say_if_in_doubt(error, response) from None
        yield [Started(conversation)]
        try:
            yield from _restrictions(self._read_reply(conversation, _token(data, "temp_token")))
        except ServiceError as error:
            error.hint = f"{error.hint} {ACCEPTED}".lstrip()
            error.was_accepted = True
            raise

    def fetch(self, token: str, *, wait: bool = True) -> Flow[None]:
        """Chatzy has no call that returns a reply: always a UsageError."""
        yield from ()
        raise UsageError(
            "Chatzy has no call that returns a stored reply.",
            hint=REPEAT,
            context_token=token,
        )

    def history(self, token: str, order: Literal["asc", "desc"] = "asc") -> Flow[list[Message]]:
        """Chatzy has no call that returns a conversation: always a UsageError."""
        yield from ()
        raise UsageError(
            "Chatzy has no call that returns a conversation's messages.",
            hint="`%aeron history` without --remote (in Python `Conversation.turns`) shows the "
            "local transcript.",
            context_token=token,
        )

    def build_request(self, question: Question, conversation: str | None = None) -> Request:
        """The get_inference request; ``conversation`` defaults to the question's."""
        body: dict[str, Any] = {"chatbot_id": self.settings.chatbot_id}
        if conversation := conversation or question.context_token:
            body["conversation_id"] = conversation
        body["messages"] = {"role": "user", "content": question.text}
        body["conversation_type"] = "website"
        return Request("POST", f"{self.settings.base_url}/get_inference", json=body)

    def _get(self, endpoint: str, **params: str) -> Request:
        return Request("GET", f"{self.settings.base_url}/{endpoint}", params=params)

    def _call(self, endpoint: str, **params: str) -> Flow[dict[str, Any]]:
        """The ``data`` of a call that is safe to repeat."""
        request = self._get(endpoint, **params)
        result = yield from retrying(lambda: request, is_transient, patience=self.settings.timeout)
        return _data(result, request.url)

    def _init_conversation(self) -> Flow[str]:
        """Start a conversation; yield its introduction and return its id. It costs nothing."""
        agent = self.settings.chatbot_id
        data = yield from self._call("init_conversation", chatbot_id=agent)
        conversation = _token(data, "conversation_id")
        if conversation is None or data.get("valid") is False:
            raise AuthenticationError(
                f"Chatzy has no usable agent {agent}.",
                hint=WHICH_AGENT,
                service_message=service_words(data),
            )
        if introduced := _introduction(data.get("introductory_message")):
            yield [introduced]
        return conversation

    def _read_reply(self, conversation: str, secret: str | None) -> Flow[None]:
        """Read the reply's stream; open it again if that is safe."""
        deadline = PollDeadline(self.settings.fetch_timeout)
        reopened = renewed = 0
        while True:
            parser = _StreamParser(reopened=reopened > 0)
            ended = "the token that opens it was missing"
            if secret is not None:
                ended = yield from self._read(secret, parser, deadline)
            if parser.done:
                return
            renew = not reopened and (secret is None or parser.rejected)
            if reopened == MAX_REOPENS or renewed == MAX_RENEWALS:
                raise _incomplete(ended, f"opening it again failed {reopened or renewed} times")
            try:
                if renew:
                    renewed += 1
                else:
                    yield [Recovering(ended)]
                    if reopened:
                        yield from deadline.sleep()
                    reopened += 1
                    yield from self._await_beginning(conversation, parser, ended, deadline)
                data = yield from self._call("generate_secret", conversation_id=conversation)
                secret = _token(data, "temp_token")
            except IncompleteReply:
                raise
            except AeronError as error:
                raise _incomplete(ended, f"its state is unknown: {error}", error) from None

    def _read(self, secret: str, parser: _StreamParser, deadline: PollDeadline) -> Flow[str]:
        """Read one stream to its end; the reason for an early end, else empty."""
        request = Request(
            "GET", f"{self.settings.stream_url}/get-response", params={"token": secret}
        )
        try:
            # A single attempt, because it may use up the token. The caller requests a new one.
            response = yield OpenStream(request)
            assert isinstance(response, Response | ConnectionLost)
            deadline.consume(response)
            if isinstance(response, ConnectionLost):
                return response.reason
            if is_transient(response):
                return f"the stream was rejected with HTTP status {response.status}"
            if response.status // 100 == 4:
                error = error_for_response(response, request.url)
                parser.rejected = response.status == 401 or is_about_a_token(error.service_message)
            if parser.rejected:
                return "the temporary token was rejected: it was used before, or has expired"
            if response.status // 100 != 2:
                _data(response, request.url)
            decoder = FrameDecoder(response.headers.get("content-type", ""), self.settings.limits)
            data = yield READ
            while isinstance(data, bytes) and data:
                if events := parser.feed(data, decoder.feed(data)):
                    yield events
                if parser.done:
                    yield Close(finished=parser.error is None)
                    if parser.error is not None:
                        raise parser.error
                    return ""
                if decoder.exceeded:
                    yield Close()
                    raise limit_error(self.settings.limits, decoder.exceeded)
                data = yield READ
            decoder.close()
            yield Close()
            if decoder.kind == "json" and parser.strange is not None:
                raise no_reply(response.status, parser.strange, request.url)
            if decoder.kind == "other":
                raise unexpected_body(response.status, decoder.unparsed, request.url)
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
        """Poll get_stream_status until the stream can be opened again without losing text.

        Raises IncompleteReply: it cannot be opened again.
        """
        request = self._get("get_stream_status", conversation_id=conversation)
        while True:
            result = yield Send(request)
            assert isinstance(result, Response | ConnectionLost)
            deadline.consume(result)
            if not is_transient(result) or deadline.expired:
                state = _status(result, request.url)
                if state == NOT_BEGUN and not parser.began:
                    return
                if state not in UNFINISHED:
                    error = _incomplete(
                        ended, OVER.get(state, f"its state {state} is not documented")
                    )
                    error.service_message = parser.words
                    raise error
            if deadline.expired:
                seconds = f"{self.settings.fetch_timeout:g} s"
                raise _incomplete(ended, f"the server is still working on it after {seconds}")
            yield from deadline.sleep(result)


class _StreamParser:
    """Turns one stream into events."""

    def __init__(self, *, reopened: bool) -> None:
        self.reopened = reopened
        self.done = False
        self.error: AeronError | None = None
        """To be raised after the events before it were yielded, so that their text is kept."""
        self.rejected = False
        """Whether the stream did not open because of its temporary token."""
        self.strange: dict[str, Any] | None = None
        """An object that is not an event, if nothing else came."""
        self.words: str | None = None
        """The service's words in an event of another kind, if no text came after it."""
        self.began = False
        """Whether even one byte came that may belong to an event."""
        self._line = b""
        self._useful = False
        self._has_text = False

    def feed(self, chunk: bytes, frames: list[Frame]) -> list[Event]:
        """The events of ``frames``, which ``chunk`` completed; none after the end."""
        if not self.began:
            self._line += chunk
            self.began = _KEEP_ALIVE.fullmatch(self._line) is None
            begin = max(self._line.rfind(b"\n"), self._line.rfind(b"\r")) + 1
            self._line = self._line[begin : begin + _LINE_HEAD]
        events: list[Event] = []
        for frame in frames:
            if self.done:
                break
            try:
                data = decode_json(frame.data)
            except ValueError:
                data = frame.data
            if not isinstance(data, dict):
                if is_error_event(frame.event):
                    data = f"{ERROR}: {words_of_text(str(data)) or ''}"
                self._handle_signal("" if data is None else str(data).strip(), {}, events)
                continue
            content, signal = data.get("content"), data.get("signal")
            if isinstance(content, str) and content:
                events.append(Chunk(content, msg_id=frame.id))
                self.words = None
                self._has_text = self._has_text or not content.isspace()
            if content or signal:
                self._useful, self.strange = True, None
            if isinstance(signal, str):
                self._handle_signal(signal.strip(), data, events)
            elif not content and (is_error_event(frame.event) or is_error(data)):
                self._handle_signal(ERROR, data, events)
            elif not isinstance(content, str):
                self.strange = None if self._useful else data
                self.words = service_words(data) or self.words
                events.append(Unknown("neither content nor signal"))
        return events

    def _handle_signal(self, signal: str, data: dict[str, Any], events: list[Event]) -> None:
        signal = _SIGNALS.get(signal.casefold(), signal)
        if signal == "call_again":
            events.append(ToolCalled())
        elif signal in ENDS:
            self.done = True
            if self._has_text:
                events.append(Completed(recovered=self.reopened))
            else:
                self.error = IncompleteReply(
                    "The agent ended its reply without any text.",
                    hint=REPEAT,
                    service_message=self.words,
                )
        elif (error := self._error_for(signal, data)) is not None:
            self.error, self.done = error, True
        else:
            self.words = service_words(data) or words_of_text(signal) or self.words
            events.append(Unknown(signal[:80]))

    def _error_for(self, signal: str, data: dict[str, Any]) -> AeronError | None:
        """The exception for a signal that ends the stream without a complete reply."""
        if signal.upper().startswith(ERROR):
            text = signal[len(ERROR) :].removeprefix(":").strip()
            return FailedReply(
                "The agent could not answer.",
                hint="Ask again, or rephrase the question.",
                service_message=text or service_words(data),
            )
        if signal in OVERFLOWS:
            full = IncompleteReply(
                f"The reply was cut short: the model's context became full {OVERFLOWS[signal]}.",
                hint="Ask for less at once, or start a new conversation.",
                service_message=signal,
            )
            full.is_final = True
            return full
        if signal in RESTRICTIONS:
            return _restricted(signal)
        if signal != "no_message_found":
            return None
        if self.reopened:
            return _incomplete("it sent nothing", "the server has no more of the reply")
        return FailedReply(
            "The agent found no message to answer.",
            hint="Ask again; if that fails too, start a new conversation.",
            service_message=signal,
        )


def _restrictions(flow: Flow[T]) -> Flow[T]:
    """``flow``; an error in which the service names a restriction is `AccessRestricted`."""
    try:
        return (yield from flow)
    except AeronError as error:
        found = _RESTRICTED.search(error.service_message or "")
        if found is None or isinstance(error, AccessRestricted):
            raise
        raise _restricted(found[0], error.status_code) from None


def _restricted(signal: str, status: int | None = None) -> AccessRestricted:
    return AccessRestricted(
        f"The agent's owner has restricted your access: it is {RESTRICTIONS[signal]}.",
        hint="Ask the agent's owner; asking the agent again changes nothing.",
        status_code=status if status and status >= 400 else None,
        service_message=signal,
    )


def _incomplete(ended: str, why: str, cause: AeronError | None = None) -> IncompleteReply:
    return IncompleteReply(
        f"The stream of the reply was lost ({ended}); {why.rstrip('.')}.",
        hint=REPEAT,
        status_code=cause.status_code if cause else None,
        service_message=cause.service_message if cause else None,
    )


def _token(data: dict[str, Any], name: str) -> str | None:
    """What names a conversation or opens a stream; None if it cannot be a part of an address."""
    token = id_or_none(data.get(name))
    return token if token is not None and len(token) <= MAX_TOKEN else None


def _data(result: Response | ConnectionLost, url: str) -> dict[str, Any]:
    """The object ``data`` of a response; raises the error of a response without one."""
    try:
        body = decode_response(result, url)
        data = body.get("data")
        refused = is_error(body) or _RESTRICTED.search(service_words(body) or "") is not None
        refused = refused and not (isinstance(data, dict) and bool(data.get("temp_token")))
        if refused or not isinstance(data, dict):
            assert isinstance(result, Response)
            words = {"message": data} if isinstance(data, str) else body
            status = error_code(body) or result.status
            raise error_for_status(status, words, url, result)
    except ServiceError as error:
        if isinstance(error, AuthenticationError):
            error.hint = WHICH_AGENT
        raise
    return data


def _accepted(result: Response | ConnectionLost) -> dict[str, Any]:
    """``data`` of an answer that names the reply's token, whatever its status; else empty."""
    if isinstance(result, ConnectionLost):
        return {}
    data = (json_object_of(result) or {}).get("data")
    return data if isinstance(data, dict) and data.get("temp_token") else {}


def _status(result: Response | ConnectionLost, url: str) -> tuple[str | None, str | None]:
    """``stream_status`` and ``response_processing_status``, in ``data`` or at the top level."""
    body = decode_response(result, url)
    data = body.get("data")
    place = data if isinstance(data, dict) and "stream_status" in data else body
    status, processing = place.get("stream_status"), place.get("response_processing_status")
    return text_or_none(status), text_or_none(processing)


def _introduction(message: Any) -> Introduced | None:
    """The introductory message; None if it is missing or switched off."""
    if not isinstance(message, dict) or message.get("switch") is False:
        return None
    text, buttons = text_or_none(message.get("content")) or "", message.get("buttons")
    labels = tuple(filter(None, map(text_or_none, buttons))) if isinstance(buttons, list) else ()
    return Introduced(text, labels) if text or labels else None
