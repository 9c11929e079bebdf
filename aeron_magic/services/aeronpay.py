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

import json
import secrets
from collections.abc import Callable
from typing import Any, Literal

from aeron_magic.errors import (
    AeronError,
    FailedReply,
    IncompleteReply,
    TokenError,
    UsageError,
)
from aeron_magic.events import Chunk, Completed, Event, Recovering, Started, Unknown
from aeron_magic.flow import READ, Answer, Close, Flow, Lost, Question, Request
from aeron_magic.framing import Frame, Framing
from aeron_magic.refusal import decode, lost, perhaps_accepted, refusal, unexpected
from aeron_magic.reply import Message
from aeron_magic.retry import Patience, not_accepted, passing, repeat
from aeron_magic.settings import Settings

__all__ = ["Service", "reference_id"]

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
    """

    name = "aeronpay"

    def __init__(self, settings: Settings, new_id: Callable[[], str] = reference_id) -> None:
        self.settings = settings
        self._new_id = new_id

    def introduce(self) -> Flow[None]:
        """AeronPay has no introductory message: there is nothing to ask for."""
        yield from ()

    def ask(self, question: Question) -> Flow[None]:
        """create-response; then fetch-response, if its stream is lost."""
        answer = yield from repeat(
            lambda: self.create(question), not_accepted, stream=question.stream
        )
        url = self._url("create-response")
        if isinstance(answer, Lost):
            if answer.sent:
                raise perhaps_accepted(answer.reason)
            raise lost(answer, url)
        if not answer.ok:
            decode(answer, url)
        framing = Framing(answer.headers.get("content-type", ""))
        reading = _Reading(url)
        ended: str | None = None
        if answer.body:  # it was asked for at once
            yield reading.take(framing.feed(answer.body))
        while ended is None and not reading.done:
            data = yield READ
            assert isinstance(data, bytes | Lost)
            if isinstance(data, Lost) or not data:
                ended = data.reason if isinstance(data, Lost) else "the stream ended early"
                events = reading.take(framing.close())
            else:
                events = reading.take(framing.feed(data))
            if events:
                yield events
        yield Close(finished=reading.done and reading.error is None)
        if reading.error is not None:
            raise reading.error
        if reading.done:
            return
        if reading.token is None:
            if reading.frames == 0 and framing.rest.strip():
                raise unexpected(answer.status, framing.rest, url)
            raise perhaps_accepted(ended or "the service sent no token")
        if not reading.processing:
            yield [Recovering(ended or "the stream ended early")]
        try:
            yield from self._await(reading.token, recovered=not reading.processing, patient=True)
        except FailedReply:
            raise
        except AeronError as error:
            raise IncompleteReply(
                f"The stream was lost ({ended}), and the reply could not be fetched: {error}",
                hint=f"`%aeron fetch {reading.token}` asks for it again; it costs nothing.",
                status_code=error.status_code,
                service_message=error.service_message,
                context_token=reading.token,
            ) from None

    def fetch(self, token: str, *, wait: bool = True) -> Flow[None]:
        """fetch-response: the stored reply of ``token``.

        With ``wait``, polls while the reply is processing, for ``fetch_timeout`` seconds in all.
        """
        yield [Started(token)]
        yield from self._await(token, wait=wait)

    def history(self, token: str, order: Literal["asc", "desc"] = "asc") -> Flow[list[Message]]:
        """list-input: the messages up to ``token``; its own answer is left out by the service.

        ``order`` is ``"asc"`` (oldest first) or ``"desc"``; it is always sent, because the
        service's default is not documented.
        """
        if order not in ("asc", "desc"):
            raise UsageError(
                f"{order!r} is no order.", hint="The orders are asc (oldest first) and desc."
            )
        body = yield from self._repeated("list-input", context_token=token, data_order=order)
        rows = body.get("data")
        return [m for row in (rows if isinstance(rows, list) else []) for m in _messages(row)]

    def create(self, question: Question) -> Request:
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

    def _repeated(self, endpoint: str, **body: Any) -> Flow[dict[str, Any]]:
        answer = yield from repeat(lambda: self._request(endpoint, body), passing)
        if isinstance(answer, Lost):
            raise lost(answer, self._url(endpoint))
        return _accepted(decode(answer, self._url(endpoint)), self._url(endpoint))

    def _await(
        self, token: str, *, wait: bool = True, recovered: bool = False, patient: bool = False
    ) -> Flow[None]:
        """Poll until the reply of ``token`` has ended.

        ``patient`` polling goes on through passing failures until ``fetch_timeout``: the network
        that lost the stream may need a moment to come back.
        """
        patience = Patience(self.settings.fetch_timeout)
        while True:
            outcome = yield from repeat(
                lambda: self._request("fetch-response", {"context_token": token}),
                (lambda _: False) if patient else passing,
            )
            patience.spend(outcome)
            status = "out of reach"
            if not (patient and passing(outcome)) or patience.over:
                body = self._fetched(outcome, token)
                status = str(body.get("response_status") or "unfinished")
                if status == "completed":
                    yield [_completed(body, recovered=recovered)]
                    return
                if not wait:
                    return
            if patience.over:
                raise IncompleteReply(
                    f"The reply is still {status} after {self.settings.fetch_timeout:g} s.",
                    hint=f"`%aeron fetch {token}` asks again; fetch_timeout sets the patience.",
                    context_token=token,
                )
            yield from patience.rest(outcome)

    def _fetched(self, outcome: Answer | Lost, token: str) -> dict[str, Any]:
        url = self._url("fetch-response")
        if isinstance(outcome, Lost):
            raise lost(outcome, url)
        return _accepted(decode(outcome, url), url, token)


class _Reading:
    """What create-response's body has said so far."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.token: str | None = None
        self.done = False
        self.processing = False
        """The service took the question up, and says itself that the reply is not ready."""
        self.frames = 0
        self.error: AeronError | None = None
        """Raised after the events before it were handed on, so that their text is kept."""

    def take(self, frames: list[Frame]) -> list[Event]:
        events: list[Event] = []
        for frame in frames:
            if self.done:
                break
            self.frames += 1
            try:
                body = json.loads(frame.data)
            except ValueError:
                body = None
            if not isinstance(body, dict):
                events.append(Unknown("not a JSON object"))
            elif (event := body.get("event") or frame.event) == "response_output":
                system = _system(body)
                events.append(
                    Chunk(
                        str(system.get("text_chunk") or ""),
                        _number(body.get("sequence_no")),
                        system.get("msg_id") or "",
                    )
                )
            else:
                self._stage(str(event or ""), body, events)
        return events

    def _stage(self, event: str, body: dict[str, Any], events: list[Event]) -> None:
        if token := body.get("context_token"):
            self.token = str(token)
        status = body.get("response_status")
        try:
            _accepted(body, self._url, self.token)
        except AeronError as error:
            self.error, self.done = error, True
            return
        if event == "response_completed" or (not event and status == "completed"):
            events.append(_completed(body))
            self.done = True
        elif event == "response_initiated" or (not event and self.token and status):
            events.append(Started(self.token, _text(body.get("parent_context_token"))))
            self.processing = event == "" and status == "processing"
        else:
            events.append(Unknown(event or "no event"))


def _accepted(body: dict[str, Any], url: str, token: str | None = None) -> dict[str, Any]:
    """``body``, unless it says that the service refuses or that the reply failed."""
    if body.get("response_status") == "failed" or str(body.get("event", "")).endswith("_failed"):
        raise FailedReply(
            "The service could not answer.",
            hint="Run the cell again, or put the question another way.",
            status_code=_number(body.get("status_code")),
            service_message=_text(body.get("message")),
            context_token=_text(body.get("context_token")) or token,
        )
    if body.get("status") in FAILURES:
        # Such a body may come under HTTP 200; what it says of itself counts.
        error = refusal(_number(body.get("status_code")) or 400, body, url)
        if not isinstance(error, TokenError):
            error.context_token = _text(body.get("context_token")) or token
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
    return int(value) if isinstance(value, str) and value.isdigit() else None
