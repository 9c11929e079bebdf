"""Chatzy's side: a conversation, a question, and the stream of its reply.

The stream and its signals follow the vendor's page *Stream Conversation AI Agent Response*, the
other calls its API reference. A token for a stream is valid once and for one minute. A reply
starts when the first chunk of its stream is due. Before that, a lost stream can be opened again
with a new secret; after that, the client can only wait for the reply.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .aeronpay import AnswerFunction
from .encoding import Answer, Refused, Request, Stream, split_text, split_writes, sse
from .faults import Faults
from .ids import digest, uuid_from

_TOKEN_LIFE = 60.0
_SEARCH_WORDS = ("search", "look up", "look it up")
_SEARCHING = "Let me look that up in the handbook.\n\n"
_TOOL_SECONDS = 0.8
"""Seconds that the simulated tool works, so that a front end can show it."""
_BUTTONS = (
    "How do I continue a conversation?",
    "How do I put a value into my question?",
    "What happens when a stream is cut?",
)


@dataclass(slots=True)
class _Reply:
    """The reply to the newest question of a conversation."""

    text: str
    message_id: str
    searched: bool
    started: bool = False
    ready_at: float = 0.0
    sent: int = 0
    opened: int = 0
    done: bool = False


@dataclass(slots=True)
class _Conversation:
    id: str
    chatbot_id: str
    turns: list[tuple[str, str]] = field(default_factory=list)
    reply: _Reply | None = None
    secrets: int = 0


class Chatzy:
    """The service with its conversations, each with one current reply.

    * ``clock``: seconds since the epoch, for the expiry of tokens and the times in answers.
    """

    name = "chatzy"
    routes = (
        ("chatzy", "init_conversation"),
        ("chatzy", "get_inference"),
        ("chatzy", "generate_secret"),
        ("chatzy", "get_stream_status"),
        ("chatzy-stream", "get-response"),
    )

    def __init__(self, answer: AnswerFunction, *, clock: Callable[[], float]) -> None:
        self._answer = answer
        self._clock = clock
        self._lock = threading.Lock()
        self._conversations: dict[str, _Conversation] = {}
        self._secrets: dict[str, tuple[_Conversation, float]] = {}

    def handle(self, request: Request, faults: Faults) -> Answer | Stream:
        method = "POST" if request.endpoint == "get_inference" else "GET"
        try:
            if request.method != method:
                raise Refused(405, f"Only {method} is allowed here.")
            match request.endpoint:
                case "init_conversation":
                    return self._init(request)
                case "get_inference":
                    return self._infer(request, faults)
                case "generate_secret":
                    conversation = self._conversation(request.query.get("conversation_id"))
                    return _success({"temp_token": self._secret(conversation)})
                case "get_stream_status":
                    return self._status(request, faults)
                case _:
                    return self._open(request, faults)
        except Refused as refused:
            return self.refusal(refused.status, refused.message, faults)

    def refusal(self, status: int, message: str, faults: Faults) -> Answer:
        return Answer(status, {"success": False, "message": message})

    # The API -------------------------------------------------------------------------------

    def _init(self, request: Request) -> Answer:
        chatbot_id = _uuid(request.query.get("chatbot_id"), "chatbot_id")
        with self._lock:
            count = sum(one.chatbot_id == chatbot_id for one in self._conversations.values())
            conversation = _Conversation(uuid_from(chatbot_id, str(count)), chatbot_id)
            self._conversations[conversation.id] = conversation
        data = {
            "valid": True,
            "conversation_id": conversation.id,
            "introductory_message": _introduction(),
        }
        return _success(data)

    def _infer(self, request: Request, faults: Faults) -> Answer:
        body = request.body
        if not isinstance(body, dict):
            raise Refused(400, "The body must be a JSON object.")
        chatbot_id = _uuid(body.get("chatbot_id"), "chatbot_id")
        conversation = self._conversation(body.get("conversation_id"))
        if conversation.chatbot_id != chatbot_id:
            raise Refused(404, "The conversation belongs to another chatbot.")
        if body.get("conversation_type") != "website":
            raise Refused(400, "conversation_type must be website.")
        message = body.get("messages")
        if not isinstance(message, dict) or message.get("role") != "user":
            raise Refused(400, "messages must be an object with the role user.")
        question = message.get("content")
        if not isinstance(question, str) or not question.strip():
            raise Refused(400, "messages.content is required and must be a string.")
        with self._lock:
            turns = list(conversation.turns)
        text = faults.fixed_text
        if text is None:
            text = self._answer(question, turns)
        number = str(len(turns))
        with self._lock:
            conversation.turns.append((question, text))
            conversation.reply = _Reply(
                text=text,
                message_id=uuid_from("reply", conversation.id, number),
                searched=any(word in question.lower() for word in _SEARCH_WORDS),
            )
        data = {
            "msg": "Message received.",
            "temp_token": self._secret(conversation),
            "user_message": {
                "user_message_id": uuid_from("question", conversation.id, number),
                "created_at": self._time(),
            },
            "introductory_message": _introduction(),
        }
        return _success(data)

    def _status(self, request: Request, faults: Faults) -> Answer:
        conversation = self._conversation(request.query.get("conversation_id"))
        reply = conversation.reply
        stream, processing = "is_streaming", None
        if reply is None:
            stream = "completed"
        elif reply.done or (reply.started and self._clock() >= reply.ready_at):
            stream = processing = "completed"
        elif reply.started:
            processing = "processing"
        data = {"stream_status": stream, "response_processing_status": processing}
        if faults.status_where == "top":
            return Answer(200, {"success": True, "message": "Stream status.", **data})
        return _success(data)

    def _conversation(self, conversation_id: object) -> _Conversation:
        id_ = _uuid(conversation_id, "conversation_id")
        with self._lock:
            conversation = self._conversations.get(id_)
        if conversation is None:
            raise Refused(404, "Unknown conversation.")
        return conversation

    def _secret(self, conversation: _Conversation) -> str:
        with self._lock:
            conversation.secrets += 1
            token = "eyJ" + digest("secret", conversation.id, str(conversation.secrets))
            self._secrets[token] = (conversation, self._clock() + _TOKEN_LIFE)
        return token

    def _time(self) -> str:
        now = datetime.fromtimestamp(self._clock(), UTC)
        return now.replace(tzinfo=None).isoformat(timespec="microseconds")

    # The stream ----------------------------------------------------------------------------

    def _open(self, request: Request, faults: Faults) -> Stream:
        with self._lock:
            found = self._secrets.pop(request.query.get("token", ""), None)
        if found is None or self._clock() >= found[1]:
            raise Refused(401, "Unauthorized: the token is missing, used, expired or invalid.")
        return Stream("text/event-stream", split_writes(faults, self._events(found[0], faults)))

    def _events(self, conversation: _Conversation, faults: Faults) -> Iterator[bytes | float]:
        reply = conversation.reply
        if reply is not None:
            reply.opened += 1
        again = reply is not None and reply.started
        if reply is None or (again and faults.reopen == "nothing"):
            yield self._signal("no_message_found", faults)
            return
        stop = {"start": 0, "middle": 1, "end": 2}[faults.signal_when]
        if faults.signal is not None and stop == 0:
            yield self._signal(faults.signal, faults)
            return
        yield faults.first_chunk
        chunks = self._chunks(reply, faults)
        if not again:
            time_left = faults.pause * max(len(chunks) - 1, 0) + _TOOL_SECONDS * reply.searched
            given = faults.generation_time
            reply.ready_at = self._clock() + (time_left if given is None else given)
            reply.started = True
        first = reply.sent if again and faults.reopen == "continue" else 0
        last = len(chunks) // 2 if faults.signal is not None and stop == 1 else len(chunks)
        for index in range(first, last):
            name, text = chunks[index]
            if index > first:
                yield faults.pause
            if index and chunks[index - 1][0] != name:
                yield self._signal("call_again", faults)
                yield _TOOL_SECONDS
            yield self._chunk(name, text, faults, lead=index == first)
            reply.sent = max(reply.sent, index + 1)
            if faults.extra and index == first:
                yield sse(faults, data='{"usage": {"words": 1}}', event="usage")
        if faults.signal is not None:
            yield self._signal(faults.signal, faults)
            reply.done = True
        elif faults.completed:
            yield self._signal(
                "close_connection",
                faults,
                new_message_time=self._time(),
                new_message_id=uuid_from("next", reply.message_id),
            )
            yield sse(faults, data="[DONE]")
            reply.done = True

    @staticmethod
    def _chunks(reply: _Reply, faults: Faults) -> list[tuple[str, str]]:
        """The reply's chunks, each with the id of its message."""
        texts = split_text(reply.text, faults) if faults.streaming else [reply.text]
        chunks = [(reply.message_id, text) for text in texts]
        if reply.searched:
            before = uuid_from("search", reply.message_id)
            chunks = [(before, text) for text in split_text(_SEARCHING, Faults())] + chunks
        return chunks

    @staticmethod
    def _chunk(name: str, text: str, faults: Faults, *, lead: bool) -> bytes:
        named = faults.ids == "each" or (faults.ids == "first" and lead)
        data = json.dumps({"content": text}, ensure_ascii=False)
        return sse(faults, data=data, id_=name if named else None)

    @staticmethod
    def _signal(signal: str, faults: Faults, **more: str) -> bytes:
        if faults.spelling == "bare":
            return sse(faults, data=signal)
        return sse(faults, data=json.dumps({"signal": signal, **more}))


def _uuid(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise Refused(400, f"{name} is required.")
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise Refused(400, f"{name} must be a UUID.") from None


def _introduction() -> dict[str, Any]:
    content = "Hello, this is the sandbox of aeron-magic. Ask me how to use it."
    return {"switch": True, "buttons": list(_BUTTONS), "content": content}


def _success(data: dict[str, Any]) -> Answer:
    return Answer(200, {"success": True, "message": "Success.", "data": data})
