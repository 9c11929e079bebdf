"""AeronPay AI: create-response, fetch-response and list-input, as flows.

The vendor's pages *Create Response*, *Fetch Response* and *List Input* describe the requests.
Where they are silent:

* a conversation continues from the token of the newest reply; if the service returned none, from
  the token that was sent. That works with both readings of the vendor's page;
* a stream that ends without ``response_completed`` is not requested again: the reply is fetched by
  the token of ``response_initiated`` until the service reports its end;
* create-response is repeated only if the service certainly did not accept it; the other two are
  safe to repeat. Each attempt has a new ``client_referenceId``.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from typing import Any, Literal

from aeron_magic.errors import (
    AeronError,
    FailedReply,
    IncompleteReply,
    ServiceError,
    TokenError,
    UsageError,
    fetch_command,
)
from aeron_magic.protocol.events import Chunk, Event, Recovering, Started, Unknown
from aeron_magic.protocol.flow import (
    READ,
    Close,
    ConnectionLost,
    Flow,
    Question,
    Request,
    Response,
    Send,
    StepResult,
)
from aeron_magic.protocol.framing import Frame, FrameDecoder
from aeron_magic.protocol.http_errors import (
    decode_response,
    error_for_response,
    maybe_accepted,
    no_reply,
    question_lost,
    say_if_in_doubt,
    unexpected_body,
)
from aeron_magic.protocol.json_values import decode_json_object, id_or_none
from aeron_magic.protocol.limits import limit_error
from aeron_magic.protocol.retry import (
    MAX_ATTEMPTS,
    PollDeadline,
    is_safe_to_resend,
    is_transient,
    retrying,
)
from aeron_magic.protocol.service_words import (
    is_error_event,
    service_words,
    shape_of,
    words_of_text,
)
from aeron_magic.replies.reply import Message
from aeron_magic.services.aeronpay_bodies import (
    ACCEPTED,
    completed_event,
    messages_of,
    number_of,
    raise_if_failed,
    refuses,
    system_of,
    token_in,
    without_text,
)
from aeron_magic.services.settings import Settings

STREAM = (
    "In a stream (without --no-stream, in Python without stream=False) the token comes first, and "
    "a reply that takes longer than `timeout` is fetched."
)


def reference_id() -> str:
    """A new ``client_referenceId``: 30 characters, the vendor's maximum."""
    return "am" + secrets.token_hex(14)


class Service:
    """AeronPay's three endpoints.

    * ``jitter``: returns random numbers in [0, 1) that spread the retries of many clients.
    """

    def __init__(self, settings: Settings, jitter: Callable[[], float] = random.random) -> None:
        self.settings = settings
        self._jitter = jitter

    def introduction(self) -> Flow[None]:
        """AeronPay has no introductory message: nothing is sent."""
        yield from ()

    def ask(self, question: Question) -> Flow[None]:
        """create-response; then fetch-response, if its stream is lost."""
        response = yield from retrying(
            lambda: self.build_request(question),
            lambda result: is_safe_to_resend(result) and _named_token(result) is None,
            stream=question.stream,
            patience=self.settings.timeout,
            jitter=self._jitter,
        )
        url = self._url("create-response")
        parser = _StreamParser(url)
        if isinstance(response, ConnectionLost):
            ended, parser.token = response.reason, _named_token(response)
            if parser.token is None:
                error = question_lost(response, url)
                if response.sent and not question.stream:
                    error.hint = f"{error.hint} {STREAM}"
                raise error
        else:
            ended = yield from self._read_reply(question, response, parser)
        if parser.error is not None:
            raise parser.error
        if parser.done:
            if not parser.missing:
                return
            ended = f"{parser.missing} missing"
        if parser.token is None:
            raise maybe_accepted(ended, parser.message)
        if not parser.processing:
            yield [Recovering(ended, self.settings.fetch_timeout)]
        try:
            yield from self._poll(
                parser.token, recovered=not parser.processing, after_question=True
            )
        except FailedReply:
            raise
        except AeronError as error:
            why = "was not ready" if parser.processing else f"was cut off ({ended})"
            raise IncompleteReply(
                f"The reply {why}, and could not be fetched: {error}",
                hint=f"{fetch_command(parser.token)} (in Python `client.fetch`) requests it "
                "again; it costs nothing.",
                status_code=error.status_code,
                service_message=error.service_message,
                context_token=parser.token,
            ) from None

    def _read_reply(
        self, question: Question, response: Response, parser: _StreamParser
    ) -> Flow[str]:
        """Read the body of create-response; the reason for an early end."""
        limits = self.settings.limits
        decoder = FrameDecoder(response.headers.get("content-type", ""), limits)
        if response.status // 100 != 2:
            # The body counts: it may say that the question was accepted all the same.
            events = parser.feed(decoder.feed(response.body))
            known = parser.token == question.context_token and not parser.done
            if parser.token is None or parser.error is not None or known or not parser.accepted:
                raise _error_for(response, parser.url, parser.token)
            yield events
            return f"HTTP status {response.status}"
        ended = "the stream ended early" if question.stream else "the answer ended early"
        data: StepResult = response.body
        if not question.stream:
            yield parser.feed(decoder.feed(response.body))
        while question.stream and not (parser.done or decoder.kind == "other" or decoder.exceeded):
            data = yield READ
            if isinstance(data, ConnectionLost) or not data:
                ended = data.reason if isinstance(data, ConnectionLost) else ended
                break
            assert isinstance(data, bytes)
            if events := parser.feed(decoder.feed(data)):
                yield events
        yield Close(finished=parser.done and parser.error is None)
        if not parser.done:
            # The event that names the token may itself be cut.
            parser.token = parser.token or token_in(decoder.unparsed)
            if decoder.exceeded:
                raise limit_error(limits, decoder.exceeded, parser.token)
            unreadable = decoder.kind == "other" or "\0" in decoder.unparsed
            if unreadable and parser.token is None:
                raise unexpected_body(response.status, decoder.unparsed, parser.url)
            whole = not isinstance(data, ConnectionLost) and not decoder.unparsed
            if whole and parser.strange is not None and not parser.accepted:
                raise no_reply(response.status, parser.strange, parser.url)
            if whole and decoder.kind == "json" and parser.token is None:
                return f"the answer is JSON that is not a reply: {shape_of(parser.strange or {})}"
        return ended

    def fetch(self, token: str, *, wait: bool = True) -> Flow[None]:
        """fetch-response: the stored reply of ``token``.

        With ``wait``, polls while the reply is processing, for at most ``fetch_timeout`` seconds.
        """
        yield [Started(token)]
        yield from self._poll(token, wait=wait)

    def history(self, token: str, order: Literal["asc", "desc"] = "asc") -> Flow[list[Message]]:
        """list-input: the messages up to ``token``, without the reply of that token.

        ``order`` is ``"asc"`` (oldest first) or ``"desc"``. It is always sent, because the
        service's default is not documented.
        """
        if order not in ("asc", "desc"):
            raise UsageError(
                f"order must be 'asc' or 'desc', not {order!r}.",
                hint="asc lists the oldest message first.",
            )
        url, fields = self._url("list-input"), {"context_token": token, "data_order": order}
        result = yield from retrying(
            lambda: self._request("list-input", fields),
            is_transient,
            patience=self.settings.timeout,
            jitter=self._jitter,
        )
        try:
            body = raise_if_failed(decode_response(result, url), url)
        except TokenError as error:
            _explain_token(error)
            raise
        rows = body.get("data")
        if "data" not in body and refuses(body):
            raise no_reply(200, body, url)
        return [m for row in (rows if isinstance(rows, list) else []) for m in messages_of(row)]

    def build_request(self, question: Question) -> Request:
        """The create-response request; empty fields are left out, never sent as null."""
        user: dict[str, Any] = {"text": question.text}
        if question.images:
            user["images"] = list(question.images)
        body: dict[str, Any] = {"user": user, "stream": question.stream}
        if question.context_token is not None:
            body["context_token"] = question.context_token
        return self._request("create-response", body)

    def _url(self, endpoint: str) -> str:
        return f"{self.settings.base_url}/{endpoint}"

    def _request(self, endpoint: str, body: dict[str, Any]) -> Request:
        return Request(
            "POST",
            self._url(endpoint),
            headers={
                "client-id": self.settings.client_id,
                "client-secret": self.settings.client_secret,
            },
            json={"client_referenceId": reference_id(), **body},
        )

    def _poll(
        self,
        token: str,
        *,
        wait: bool = True,
        recovered: bool = False,
        after_question: bool = False,
    ) -> Flow[None]:
        """Poll until the reply of ``token`` has ended.

        ``after_question``: the stream of a question was just lost. The network may need time to
        come back, so transient errors are retried until the deadline; and a few times an unknown
        token, which the service may not have stored yet.
        """
        deadline = PollDeadline(self.settings.fetch_timeout, self._jitter)
        failures = 0
        while True:
            request = self._request("fetch-response", {"context_token": token})
            result = yield Send(request, deadline.remaining)
            assert isinstance(result, Response | ConnectionLost)
            deadline.consume(result)
            try:
                body = raise_if_failed(decode_response(result, request.url), request.url, token)
            except AeronError as error:
                _explain_token(error)
                failures += 1
                transient = is_transient(result)
                again = transient or (after_question and isinstance(error, TokenError))
                exhausted = failures >= MAX_ATTEMPTS and not (after_question and transient)
                if deadline.expired or not again or exhausted:
                    raise
                yield from deadline.sleep(result)
                continue
            failures = 0
            status = _response_status(body) or "unfinished"
            completed = completed_event(body, recovered=recovered)
            if status == "completed" or (status == "unfinished" and completed.text is not None):
                if completed.text is None:
                    raise without_text(body, token)
                yield [completed]
                return
            if status == "unfinished" and refuses(body):
                raise no_reply(200, body, request.url)
            if not wait:
                return
            if deadline.expired:
                raise IncompleteReply(
                    f"The reply is still {status} after {self.settings.fetch_timeout:g} s.",
                    hint=f"{fetch_command(token)} (in Python `client.fetch`) asks again; "
                    "fetch_timeout is the longest wait.",
                    context_token=token,
                )
            yield from deadline.sleep(result)


class _StreamParser:
    """Turns the frames of create-response's body into events."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token: str | None = None
        self.accepted = False
        """The service says that it accepted the question."""
        self.done = False
        self.missing = ""
        """What a completed reply lacks, and the whole text was not repeated."""
        self.processing = False
        """The service accepted the question and reports that the reply is not ready."""
        self.message: str | None = None
        """The message of an object that is not part of a reply."""
        self.strange: dict[str, Any] | None = None
        """The last such object."""
        self.error: AeronError | None = None
        """To be raised after the events before it were yielded, so that their text is kept."""
        self._texts: dict[int, Any] = {}
        """The text of each number."""
        self._ambiguous = False
        """Whether a number was repeated with another text, which is dropped."""
        self._has_text = False

    def feed(self, frames: list[Frame]) -> list[Event]:
        """The events of ``frames``; none after the end."""
        events: list[Event] = []
        for frame in frames:
            if self.done:
                break
            body = decode_json_object(frame.data)
            if body is None:
                if is_error_event(frame.event):
                    body = {"message": words_of_text(frame.data)}
                    self._handle_event(frame.event, body, events)
                elif "\0" in frame.data and self.token is None:
                    self.error, self.done = unexpected_body(200, frame.data, self.url), True
                else:
                    events.append(Unknown("not a JSON object"))
            elif (event := body.get("event") or frame.event) == "response_output":
                system, number = body.get("system"), body.get("sequence_no")
                if type(system) is not dict:
                    system = system_of(body)
                if type(number) is not int:
                    number = number_of(number)
                text, msg_id = system.get("text_chunk"), system.get("msg_id")
                if number is not None and self._texts.setdefault(number, text) != text:
                    self._ambiguous = True
                if text and not self._has_text:
                    self._has_text = not str(text).isspace()
                events.append(Chunk(str(text or ""), number, str(msg_id or "")))
            else:
                self._handle_event(str(event or ""), body, events)
        return events

    def _handle_event(self, event: str, body: dict[str, Any], events: list[Event]) -> None:
        begun = self.token is not None
        if token := body.get("context_token"):
            self.token = id_or_none(token) or self.token
        try:
            raise_if_failed(body, self.url, self.token, event=event, begun=begun)
        except AeronError as error:
            self.error, self.done = error, True
            return
        self.accepted = self.accepted or bool(
            event or body.get("response_status") or body.get("status") in ACCEPTED
        )
        event = event or _infer_event(body)
        if event == "response_completed":
            completed = completed_event(body)
            self.done = True
            if completed.text is None and not self._has_text:
                self.missing = "its text was"
                if self.token is None:
                    self.error = without_text(body)
            elif completed.text is None and self.token is not None and self._skipped():
                self.missing = "chunks of the stream were"
            if not self.missing:
                events.append(completed)
        elif event == "response_initiated":
            events.append(Started(self.token, id_or_none(body.get("parent_context_token"))))
            self.processing = _response_status(body) == "processing"
        else:
            self.message, self.strange = service_words(body), body
            events.append(Unknown(event or "no event"))

    def _skipped(self) -> bool:
        """Whether a number is missing between the first chunk and the last, or has two texts."""
        numbers = self._texts
        return self._ambiguous or (bool(numbers) and max(numbers) - min(numbers) >= len(numbers))


def _response_status(body: dict[str, Any]) -> str:
    return str(body.get("response_status") or "").lower()


def _infer_event(body: dict[str, Any]) -> str:
    """The event of an object that does not name one, as in a response that is not streamed."""
    status = _response_status(body)
    if status == "completed" or (not status and system_of(body).get("text")):
        return "response_completed"
    return "response_initiated" if body.get("context_token") else ""


def _named_token(result: Response | ConnectionLost) -> str | None:
    """The token that the answer to a question names; the question was then accepted."""
    body = result.received if isinstance(result, ConnectionLost) else result.body
    token = (decode_json_object(body) or {}).get("context_token")
    return id_or_none(token) if token else token_in(body.decode("utf-8", "replace"))


def _explain_token(error: AeronError) -> None:
    """Give the remedy for a token by which something stored was requested."""
    if isinstance(error, TokenError):
        error.hint = (
            "Check it: it must be the context_token of a reply of this service. If it has expired, "
            "ask the question again."
        )


def _error_for(response: Response, url: str, token: str | None) -> ServiceError:
    """The exception for a question whose status is not 2xx."""
    error = error_for_response(response, url)
    if not isinstance(error, TokenError):
        error.context_token = token
    return say_if_in_doubt(error, response)
