"""AeronPay's side: create-response, fetch-response and list-input.

The messages follow the vendor's pages *Create Response*, *Fetch Response* and *List Input*. These
do not specify which token continues a conversation, so both rules are available: ``new`` returns
a token for each reply, and an older token can be continued in a branch; ``same`` keeps one token
for the conversation. A reply is generated even if its client disconnects: fetch-response returns
``processing`` until it would have been finished.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .encoding import (
    Answer,
    Refused,
    Request,
    Stream,
    content_type,
    frame,
    split_text,
    split_writes,
)
from .faults import Faults
from .ids import digest

TokenRule = Literal["new", "same"]
# From a question and the turns before it (pairs of question and answer) to the answer.
AnswerFunction = Callable[[str, Sequence[tuple[str, str]]], str]

_REFERENCE_LENGTH = 30


@dataclass(slots=True)
class _Turn:
    """One question and its reply, which may be incomplete."""

    token: str
    parent: _Turn | None
    question: str
    text: str
    chunks: list[str]
    created: float
    ready_at: float
    failed: bool
    delivered: bool = False
    fetches: int = 0
    depth: int = field(init=False)
    """The number of turns from the first to this one."""

    def __post_init__(self) -> None:
        self.depth = 1 + (self.parent.depth if self.parent is not None else 0)

    @property
    def conversation(self) -> str:
        return self.token[-16:]

    def path(self) -> list[_Turn]:
        turns: list[_Turn] = []
        turn: _Turn | None = self
        while turn is not None:
            turns.append(turn)
            turn = turn.parent
        return turns[::-1]

    def message_id(self, role: str) -> str:
        # The number keeps turns apart that share a token.
        key = f"{self.token}/{self.depth}"
        return f"msg_{digest(role, key, length=32)}{self.conversation}"

    def state(self, now: float) -> str:
        if not self.delivered and now < self.ready_at:
            return "processing"
        return "failed" if self.failed else "completed"


class AeronPay:
    """The service with its conversations.

    * ``clock``: seconds since the epoch, for expiry and for ``processing``.
    * ``token_rule``: ``new``: a token for each reply; ``same``: one for the conversation.
    * ``token_life``: seconds until a token expires.
    * ``require_credentials``: whether requests without ``client-id`` and ``client-secret`` are
      refused.
    """

    name = "aeronpay"
    routes = (
        ("aeronpay", "create-response"),
        ("aeronpay", "fetch-response"),
        ("aeronpay", "list-input"),
    )

    def __init__(
        self,
        answer: AnswerFunction,
        *,
        clock: Callable[[], float],
        token_rule: TokenRule,
        token_life: float,
        require_credentials: bool,
    ) -> None:
        self._answer = answer
        self._clock = clock
        self._one_token = token_rule == "same"  # noqa: S105
        self._token_life = token_life
        self._require_credentials = require_credentials
        self._lock = threading.Lock()
        self._turns: dict[str, _Turn] = {}
        self._asked: dict[tuple[str, str, str], int] = {}
        self._references: set[str] = set()

    def handle(self, request: Request, faults: Faults) -> Answer | Stream:
        try:
            if request.method != "POST":
                raise Refused(405, "Only POST is allowed here.")
            self._check_credentials(request)
            body = self._checked_body(request.body)
            match request.endpoint:
                case "create-response":
                    return self._create(body, faults)
                case "fetch-response":
                    return self._fetch(body, faults)
                case _:
                    return self._list(body, faults)
        except Refused as refused:
            return self.refusal(refused.status, refused.message, faults)

    def refusal(self, status: int, message: str, faults: Faults) -> Answer:
        """The vendor's error object: FAILED, or BAD_REQUEST_ERROR for invalid credentials."""
        kind = "BAD_REQUEST_ERROR" if status in {401, 403} else "FAILED"
        value = {"status": kind, "status_code": str(status), "message": message, "data": []}
        return Answer(status, self._coded(value, faults))

    # Validation ----------------------------------------------------------------------------

    def _check_credentials(self, request: Request) -> None:
        given = [request.headers.get(name, "").strip() for name in ("client-id", "client-secret")]
        if self._require_credentials and not all(given):
            raise Refused(403, "client-id and client-secret are required in the headers.")
        if given[1] == "wrong":
            raise Refused(403, "Invalid credentials, or the caller's IP address is not allowed.")

    def _checked_body(self, body: Any) -> Mapping[str, Any]:
        if not isinstance(body, dict):
            raise Refused(400, "The body must be a JSON object.")
        reference = body.get("client_referenceId")
        if not isinstance(reference, str) or not reference:
            raise Refused(400, "client_referenceId is required and must be a string.")
        if len(reference) > _REFERENCE_LENGTH:
            raise Refused(400, "client_referenceId must not be longer than 30 characters.")
        with self._lock:
            if reference in self._references:
                raise Refused(400, "client_referenceId must be unique for each request.")
            self._references.add(reference)
        return body

    def _turn_of(self, body: Mapping[str, Any], faults: Faults) -> _Turn:
        token = body.get("context_token")
        if not isinstance(token, str) or not token:
            raise Refused(400, "context_token is required and must be a string.")
        with self._lock:
            turn = self._turns.get(token)
        if turn is None:
            raise Refused(400, "Invalid context token.")
        if token in faults.expired or self._clock() >= turn.created + self._token_life:
            raise Refused(400, "Expired context token.")
        return turn

    # The three endpoints -------------------------------------------------------------------

    def _create(self, body: Mapping[str, Any], faults: Faults) -> Answer | Stream:
        text, images = _question(body)
        stream = body.get("stream", False)
        if not isinstance(stream, bool):
            raise Refused(400, "stream must be true or false.")
        parent = self._turn_of(body, faults) if "context_token" in body else None
        streamed = stream and faults.framing != "object"
        turn = self._begin(text, images, parent, faults, streamed=streamed)
        if streamed:
            return Stream(content_type(faults), split_writes(faults, self._events(turn, faults)))
        value = self._reply(turn, "Response generation successful.", faults)
        return Answer(200, value, wait=_duration(turn.chunks, faults))

    def _fetch(self, body: Mapping[str, Any], faults: Faults) -> Answer:
        turn = self._turn_of(body, faults)
        with self._lock:
            turn.fetches += 1
        return Answer(200, self._reply(turn, "Response fetched successfully.", faults))

    def _list(self, body: Mapping[str, Any], faults: Faults) -> Answer:
        order = body.get("data_order", "asc")
        if order not in ("asc", "desc"):
            raise Refused(400, "Invalid data_order value: it must be asc or desc.")
        turn = self._turn_of(body, faults)
        data: list[dict[str, Any]] = []
        for one in turn.path():
            question = {"request_status": "completed", "user": {"text": one.question}}
            data.append({"msg_id": one.message_id("user"), **question})
            if one is not turn:  # the vendor's sample ends with the token's question
                state = one.state(self._clock())
                answer = {"response_status": state, "system": {"text": one.text}}
                data.append({"msg_id": one.message_id("system"), **answer})
        if order == "desc":
            data.reverse()
        value = {
            "status": "SUCCESS",
            "status_code": "200",
            "message": "Input items fetched successfully.",
            "data": data,
        }
        return Answer(200, self._coded(value, faults))

    # A reply -------------------------------------------------------------------------------

    def _begin(
        self,
        question: str,
        images: Sequence[str],
        parent: _Turn | None,
        faults: Faults,
        *,
        streamed: bool,
    ) -> _Turn:
        text = faults.fixed_text
        if text is None:
            before = parent.path() if parent else []
            text = self._answer(question, [(turn.question, turn.text) for turn in before])
        chunks = split_text(text, faults)
        now = self._clock()
        with self._lock:
            turn = _Turn(
                token=self._token(question, images, parent),
                parent=parent,
                question=question,
                text=text,
                chunks=chunks,
                created=now,
                ready_at=now + (_duration(chunks, faults) if streamed else 0.0),
                failed=faults.generation != "ok",
            )
            self._turns[turn.token] = turn
        return turn

    def _token(self, question: str, images: Sequence[str], parent: _Turn | None) -> str:
        # Equal questions at the same place are counted. A global counter would make the tokens
        # of concurrent questions depend on the order of arrival.
        if parent is not None and self._one_token:
            return parent.token
        place = parent.token if parent else ""
        asked = (place, question, "\n".join(images))
        count = self._asked[asked] = self._asked.get(asked, 0) + 1
        unique = digest(*asked, str(count), length=48)
        return f"apay_{unique[:32]}{parent.conversation if parent else unique[32:]}"

    def _reply(self, turn: _Turn, message: str, faults: Faults) -> dict[str, Any]:
        state = turn.state(self._clock())
        if 0 < turn.fetches <= faults.processing_fetches:
            state = "processing"
        value = self._head(turn, faults, ("SUCCESS", "200", message), state)
        if state == "completed":
            value["system"] = {"msg_id": turn.message_id("system"), "text": turn.text}
        else:
            value |= _empty_system(faults)
        return self._coded(value, faults)

    def _events(self, turn: _Turn, faults: Faults) -> Iterator[bytes | float]:
        status = ("PENDING", "102", "Response generation initiated.")
        initiated = self._head(turn, faults, status, "initiated", event="response_initiated")
        yield frame(faults, self._coded(initiated | _empty_system(faults), faults))
        yield faults.first_chunk
        message_id = turn.message_id("system")
        for index, (number, chunk) in enumerate(_ordered(turn.chunks, faults)):
            if index:
                yield faults.pause
            output = {
                "status": "PROCESSING",
                "status_code": "206",
                "event": "response_output",
                "sequence_no": number,
                "system": {"msg_id": message_id, "text_chunk": chunk},
            }
            yield frame(faults, self._coded(output, faults))
            if faults.extra and not index:
                yield frame(faults, {"event": "response_usage", "usage": {"words": 1}})
        if faults.generation == "fails-with-event":
            status = ("FAILED", "500", "Response generation failed.")
            failed = self._head(turn, faults, status, "failed", event="response_failed")
            yield frame(faults, self._coded(failed, faults))
        elif faults.completed and not turn.failed:
            status = ("SUCCESS", "200", "Response generation successful.")
            completed = self._head(turn, faults, status, "completed", event="response_completed")
            completed["system"] = {"msg_id": message_id, "text": turn.text}
            yield frame(faults, self._coded(completed, faults))
            turn.delivered = True

    def _head(
        self,
        turn: _Turn,
        faults: Faults,
        status: tuple[str, str, str],
        state: str,
        event: str | None = None,
    ) -> dict[str, Any]:
        """The fields that replies and events begin with."""
        value: dict[str, Any] = dict(zip(("status", "status_code", "message"), status, strict=True))
        if event is not None:
            value["event"] = event
        return {**value, "response_status": state, **self._tokens(turn, faults)}

    def _tokens(self, turn: _Turn, faults: Faults) -> dict[str, str | None]:
        if not faults.tokens:
            return {}
        parent = turn.parent.token if turn.parent and not self._one_token else None
        return {"context_token": turn.token, "parent_context_token": parent}

    @staticmethod
    def _coded(value: dict[str, Any], faults: Faults) -> dict[str, Any]:
        if faults.number_codes:
            value = {**value, "status_code": int(value["status_code"])}
        if faults.extra:
            value = {**value, "trace": {"node": "sandbox"}}
        return value


def _question(body: Mapping[str, Any]) -> tuple[str, list[str]]:
    user = body.get("user")
    if not isinstance(user, dict):
        raise Refused(400, "user is required and must be an object.")
    text = user.get("text")
    if not isinstance(text, str) or not text.strip():
        raise Refused(400, "user.text is required and must be a string.")
    images = user.get("images", [])
    if not isinstance(images, list) or not all(isinstance(url, str) for url in images):
        raise Refused(400, "user.images must be a list of addresses.")
    if not all(url.startswith(("http://", "https://")) for url in images):
        raise Refused(400, "user.images must be http or https addresses.")
    return text, images


def _duration(chunks: Sequence[str], faults: Faults) -> float:
    """Seconds until the reply is generated, by default as long as its stream takes."""
    if faults.generation_time is not None:
        return faults.generation_time
    return faults.first_chunk + faults.pause * max(len(chunks) - 1, 0)


def _empty_system(faults: Faults) -> dict[str, Any]:
    empty: dict[str, Any] = {"list": [], "object": {}, "null": None}
    return {"system": empty[faults.system_empty]} if faults.system_empty != "absent" else {}


def _ordered(chunks: Sequence[str], faults: Faults) -> list[tuple[int, str]]:
    """The chunks with their numbers, from 2 as in the vendor's sample, in the set order."""
    numbered = list(enumerate(chunks, start=2))
    if faults.generation != "ok":
        numbered = numbered[: len(numbered) // 2]
    match faults.order:
        case "swapped":
            for i in range(0, len(numbered) - 1, 2):
                numbered[i], numbered[i + 1] = numbered[i + 1], numbered[i]
        case "repeated":
            numbered = [one for one in numbered for _ in range(2)]
        case "gap":
            numbered = [one for i, one in enumerate(numbered) if i % 3 != 1]
        case "kept":
            pass
    return numbered
