"""AeronPay AI: create-response, fetch-response and list-input, as flows.

The vendor's pages *Create Response*, *Fetch Response* and *List Input* say what goes over the wire.
Where they are silent:

* which token continues a conversation: the newest reply's, always; if the service returns none,
  the one that was sent still holds. Both readings of the vendor's page then work;
* a stream that ends without ``response_completed`` is never asked for again: the token came with
  ``response_initiated``, so the reply is fetched by it until the service says how it ended;
* create-response is repeated only where the service surely took nothing up; the other two are
  safe to repeat. Each attempt has a new ``client_referenceId``.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from typing import Any, Literal, NoReturn

from aeron_magic.errors import (
    AeronError,
    FailedReply,
    IncompleteReply,
    ServiceError,
    TokenError,
    UsageError,
)
from aeron_magic.protocol.events import Chunk, Completed, Event, Recovering, Started, Unknown
from aeron_magic.protocol.flow import (
    READ,
    Close,
    ConnectionLost,
    Flow,
    Question,
    Request,
    Response,
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
from aeron_magic.protocol.json_values import decode_json_object
from aeron_magic.protocol.retry import (
    MAX_ATTEMPTS,
    PollDeadline,
    is_safe_to_resend,
    is_transient,
    retrying,
)
from aeron_magic.replies.reply import Message
from aeron_magic.services.settings import Settings

__all__ = ["Service", "reference_id"]

MOST_DIGITS = 18
"""A longer string of digits is no number that this service counts or codes by."""

FAILURES = ("FAILED", "BAD_REQUEST_ERROR")


def reference_id() -> str:
    """A new ``client_referenceId``: 30 characters (the most the vendor allows), never repeated."""
    return "am" + secrets.token_hex(14)


class Service:
    """AeronPay's three endpoints.

    Parameters
    ----------
    settings
        The address, the credentials and the time-outs.
    new_id
        Makes the reference id of each request.
    jitter
        Gives the random numbers in [0, 1) by which retries of many clients are spread.
    """

    name = "aeronpay"

    def __init__(
        self,
        settings: Settings,
        new_id: Callable[[], str] = reference_id,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self._new_id = new_id
        self._jitter = jitter

    def introduction(self) -> Flow[None]:
        """AeronPay has no introductory message: there is nothing to ask for."""
        yield from ()

    def ask(self, question: Question) -> Flow[None]:
        """create-response; then fetch-response, if its stream is lost."""
        answer = yield from retrying(
            lambda: self.build_request(question),
            is_safe_to_resend,
            stream=question.stream,
            jitter=self._jitter,
        )
        url = self._url("create-response")
        if isinstance(answer, ConnectionLost):
            raise maybe_accepted(answer.reason) if answer.sent else unreachable(answer, url)
        if not answer.ok:
            _refuse(answer, url)
        decoder = FrameDecoder(answer.headers.get("content-type", ""))
        parser = _StreamParser(url)
        ended = "the stream ended early"
        if not question.stream:
            yield parser.feed(decoder.feed(answer.body))
            ended = "the answer ended early"
        while question.stream and not (parser.done or decoder.kind == "other"):
            data = yield READ
            if isinstance(data, ConnectionLost) or not data:
                ended = data.reason if isinstance(data, ConnectionLost) else ended
                break
            assert isinstance(data, bytes)
            if events := parser.feed(decoder.feed(data)):
                yield events
        yield Close(finished=parser.done and parser.error is None)
        if parser.error is not None:
            raise parser.error
        if parser.done:
            if not parser.has_gap:
                return
            ended = "the stream left chunks out"
        if decoder.kind == "other":
            raise unexpected_body(answer.status, decoder.unparsed, url)
        if parser.token is None:
            raise maybe_accepted(ended, parser.message)
        if not parser.processing:
            yield [Recovering(ended)]
        try:
            yield from self._poll(parser.token, recovered=not parser.processing, patient=True)
        except FailedReply:
            raise
        except AeronError as error:
            why = "was not ready" if parser.processing else f"was cut off ({ended})"
            raise IncompleteReply(
                f"The reply {why}, and could not be fetched: {error}",
                hint=f"`%aeron fetch {parser.token}` asks for it again; it costs nothing.",
                status_code=error.status_code,
                service_message=error.service_message,
                context_token=parser.token,
            ) from None

    def fetch(self, token: str, *, wait: bool = True) -> Flow[None]:
        """fetch-response: the stored reply of ``token``.

        With ``wait``, polls while the reply is processing, for ``fetch_timeout`` seconds in all.
        """
        yield [Started(token)]
        yield from self._poll(token, wait=wait)

    def history(self, token: str, order: Literal["asc", "desc"] = "asc") -> Flow[list[Message]]:
        """list-input: the messages up to ``token``; its own answer is left out by the service.

        ``order`` is ``"asc"`` (oldest first) or ``"desc"``; it is always sent, because the
        service's default is not documented.
        """
        if order not in ("asc", "desc"):
            raise UsageError(
                f"{order!r} is no order.", hint="The orders are asc (oldest first) and desc."
            )
        body = yield from self._call("list-input", context_token=token, data_order=order)
        rows = body.get("data")
        return [m for row in (rows if isinstance(rows, list) else []) for m in _messages(row)]

    def build_request(self, question: Question) -> Request:
        """The request that asks ``question``; what has no value is left out, never sent as null."""
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
            json={"client_referenceId": self._new_id(), **body},
        )

    def _call(self, endpoint: str, **body: Any) -> Flow[dict[str, Any]]:
        answer = yield from retrying(
            lambda: self._request(endpoint, body), is_transient, jitter=self._jitter
        )
        if isinstance(answer, ConnectionLost):
            raise unreachable(answer, self._url(endpoint))
        return _raise_if_failed(decode_response(answer, self._url(endpoint)), self._url(endpoint))

    def _poll(
        self, token: str, *, wait: bool = True, recovered: bool = False, patient: bool = False
    ) -> Flow[None]:
        """Poll until the reply of ``token`` has ended.

        ``patient`` polling follows a question: the network that lost its stream may need a moment
        to come back, so passing failures are borne for as long as an unfinished reply, and so is
        for a moment a service that does not know yet what it has just begun.
        """
        deadline = PollDeadline(self.settings.fetch_timeout, self._jitter)
        failures = 0
        while True:
            request = self._request("fetch-response", {"context_token": token})
            result = yield from send(request, deadline.remaining)
            deadline.consume(result)
            try:
                body = self._fetched(result, token)
            except AeronError as error:
                failures += 1
                again = is_transient(result) or (patient and isinstance(error, TokenError))
                enough = failures >= MAX_ATTEMPTS and not (patient and is_transient(result))
                if deadline.expired or not again or enough:
                    raise
                yield from deadline.sleep(result)
                continue
            failures = 0
            status = str(body.get("response_status") or "unfinished")
            if status == "completed":
                completed = _completed(body, recovered=recovered)
                if recovered and completed.text is None:
                    raise IncompleteReply("The service says that it is completed, but has no text.")
                yield [completed]
                return
            if not wait:
                return
            if deadline.expired:
                raise IncompleteReply(
                    f"The reply is still {status} after {self.settings.fetch_timeout:g} s.",
                    hint=f"`%aeron fetch {token}` asks again; fetch_timeout sets the patience.",
                    context_token=token,
                )
            yield from deadline.sleep(result)

    def _fetched(self, result: Response | ConnectionLost, token: str) -> dict[str, Any]:
        url = self._url("fetch-response")
        if isinstance(result, ConnectionLost):
            raise unreachable(result, url)
        return _raise_if_failed(decode_response(result, url), url, token)


class _StreamParser:
    """What create-response's body has said so far."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.token: str | None = None
        self.done = False
        self.has_gap = False
        """The service says that the reply is whole, but not what was in the chunks it left out."""
        self.processing = False
        """The service took the question up, and says itself that the reply is not ready."""
        self.message: str | None = None
        """The service's own words, where it said nothing of a reply."""
        self.error: AeronError | None = None
        """Raised after the events before it were handed on, so that their text is kept."""
        self._numbers: set[int] = set()

    def feed(self, frames: list[Frame]) -> list[Event]:
        """The events of ``frames``; none after the end."""
        events: list[Event] = []
        for frame in frames:
            if self.done:
                break
            body = decode_json_object(frame.data)
            if body is None:
                events.append(Unknown("not a JSON object"))
            elif (event := body.get("event") or frame.event) == "response_output":
                system, number = body.get("system"), body.get("sequence_no")
                if type(system) is not dict:
                    system = {}
                if type(number) is not int:
                    number = _number(number)
                if number is not None:
                    self._numbers.add(number)
                text, msg_id = system.get("text_chunk"), system.get("msg_id")
                events.append(Chunk(str(text or ""), number, str(msg_id or "")))
            else:
                self._handle_event(str(event or ""), body, events)
        return events

    def _handle_event(self, event: str, body: dict[str, Any], events: list[Event]) -> None:
        begun = self.token is not None
        if token := body.get("context_token"):
            self.token = str(token)
        try:
            _raise_if_failed(body, self._url, self.token, event=event, begun=begun)
        except AeronError as error:
            self.error, self.done = error, True
            return
        event = event or _infer_event(body)
        if event == "response_completed":
            completed = _completed(body)
            self.done = True
            self.has_gap = completed.text is None and self.token is not None and self._skipped()
            if not self.has_gap:
                events.append(completed)
        elif event == "response_initiated":
            events.append(Started(self.token, _text(body.get("parent_context_token"))))
            self.processing = body.get("response_status") == "processing"
        else:
            self.message = _text(body.get("message"))
            events.append(Unknown(event or "no event"))

    def _skipped(self) -> bool:
        """Whether a number is missing between the first chunk and the last."""
        numbers = self._numbers
        return bool(numbers) and max(numbers) - min(numbers) >= len(numbers)


def _infer_event(body: dict[str, Any]) -> str:
    """The event that an object without one stands for: what is not streamed has none."""
    status = body.get("response_status")
    if status == "completed" or (status is None and _system(body).get("text")):
        return "response_completed"
    return "response_initiated" if body.get("context_token") else ""


def _refuse(answer: Response, url: str) -> NoReturn:
    """Raise what a refused question's answer says."""
    try:
        decode_response(answer, url)
    except ServiceError as error:
        if answer.status >= 500 and not is_safe_to_resend(answer):
            error.hint = (
                "Ask again in a moment. If the question was accepted all the same, "
                "that may be charged a second time."
            )
        raise
    raise AssertionError("an answer that is not ok is a refusal")


def _raise_if_failed(
    body: dict[str, Any],
    url: str,
    token: str | None = None,
    *,
    event: str = "",
    begun: bool = False,
) -> dict[str, Any]:
    """``body``, unless it says that the service refuses or that the reply failed.

    ``begun`` says that the service has taken the question up: what it refuses now is the reply.
    """
    refused = body.get("status") in FAILURES
    token = _text(body.get("context_token")) or token
    if body.get("response_status") == "failed" or event.endswith("_failed") or (refused and begun):
        raise FailedReply(
            "The service could not answer.",
            hint="Ask again, or put the question another way.",
            status_code=_number(body.get("status_code")),
            service_message=_text(body.get("message")),
            context_token=token,
        )
    if refused:
        # Such a body may come under HTTP 200; what it says of itself counts.
        error = error_for_status(_number(body.get("status_code")) or 400, body, url)
        if not isinstance(error, TokenError):
            error.context_token = token
        raise error
    return body


def _completed(body: dict[str, Any], *, recovered: bool = False) -> Completed:
    system = _system(body)
    return Completed(
        text=_text(system.get("text")),
        context_token=_text(body.get("context_token")),
        parent_context_token=_text(body.get("parent_context_token")),
        msg_id=str(system.get("msg_id") or ""),
        recovered=recovered,
    )


def _messages(row: Any) -> list[Message]:
    if not isinstance(row, dict):
        return []
    msg_id = str(row.get("msg_id") or "")
    status = str(row.get("request_status") or row.get("response_status") or "")
    if isinstance(user := row.get("user"), dict):
        return [Message("user", str(user.get("text") or ""), msg_id, status)]
    return [Message("assistant", str(_system(row).get("text") or ""), msg_id, status)]


def _system(body: dict[str, Any]) -> dict[str, Any]:
    """``system``, which the service sends as ``[]``, ``{}`` or null where it is empty."""
    system = body.get("system")
    return system if isinstance(system, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> int | None:
    """Numbers come as numbers or as strings."""
    if isinstance(value, int):
        return value
    plain = isinstance(value, str) and value.isdecimal() and len(value) <= MOST_DIGITS
    return int(value) if plain else None
