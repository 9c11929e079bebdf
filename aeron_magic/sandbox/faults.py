"""The sandbox's behaviour: pace, framing, text, and what goes wrong.

A ``Faults`` is an immutable value. The running server holds one, replaces it on request, and
counts its ``…_times`` fields down as they are used. It can be sent as JSON, so that another
process can set it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin, get_type_hints

_MAX_NUMBER = 2**31
_SHOWN = 60  # characters of a wrong value in an error
_CUTTABLE = ("create-response", "get-response")

Endpoint = Literal[
    "*",
    "create-response",
    "fetch-response",
    "list-input",
    "init_conversation",
    "get_inference",
    "generate_secret",
    "get_stream_status",
    "get-response",
]
Framing = Literal["sse", "sse-event", "sse-multiline", "ndjson", "json", "pretty", "object"]
LineEnd = Literal["lf", "crlf", "cr"]
CutHow = Literal["reset", "close", "end"]
StallHow = Literal["silent", "comments"]
Order = Literal["kept", "swapped", "repeated", "gap"]
EmptySystem = Literal["list", "object", "null", "absent"]
Generation = Literal["ok", "fails", "fails-with-event"]
Spelling = Literal["json", "bare"]
Ids = Literal["each", "first", "none"]
Reopen = Literal["nothing", "repeat", "continue"]
Where = Literal["data", "top"]
When = Literal["start", "middle", "end"]
Page = Literal["json", "html", "empty", "redirect", "drop"]


class FaultError(ValueError):
    """A fault does not exist, or its value is not allowed."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback."""
        return [
            f"{type(self).__name__}: {self}",
            "  → `help(Faults)` explains all; `from aeron_magic.sandbox import Faults` imports it.",
        ]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an endpoint answers to its next requests instead of serving them.

    Parameters
    ----------
    endpoint
        ``create-response``, ``get_inference``, … or ``*`` for all.
    status
        The HTTP status; 200 with ``page="json"`` is a body with the status FAILED.
    times
        The number of requests to refuse.
    retry_after
        The value of the ``Retry-After`` header: seconds or an HTTP date.
    page
        ``json`` (the service's error object), ``html``, ``empty``, ``redirect`` (to ``location``)
        or ``drop``: the request is read and the connection closed without an answer.
    accepted
        Serve the request before refusing it, so that the question was in fact accepted.
    location
        The target of a redirect; by default an address of the sandbox, which logs it.
    message
        The message in the error object.
    """

    endpoint: Endpoint = "*"
    status: int = 500
    times: int = 1
    retry_after: str | None = None
    page: Page = "json"
    accepted: bool = False
    location: str = "/elsewhere"
    message: str = "The sandbox was configured to refuse this request."


@dataclass(frozen=True, slots=True)
class Faults:
    """The sandbox's behaviour; by default without faults and pauses.

    Parameters
    ----------
    latency, first_chunk, pause
        Seconds before the headers, before the first chunk, and between chunks.
    chunk_size
        Characters in a chunk; 0 streams word by word.
    write_size
        Bytes in a write, independent of the events; 0 writes one event at a time.
    say, chunks
        Answer every question with this text, or with exactly these chunks.
    framing, line_end, bom
        How a stream is encoded. The framing ``object`` ignores ``stream: true``.
    cut_after, cut_times, cut_how
        Cut the next replies of create-response or get-response after so many bytes of the body:
        with a connection reset, by closing the connection, or with a proper end of the body.
    stall_after, stall_times, stall_how, stall_seconds, comment_every
        After so many bytes, send nothing (or only comments) for so many seconds; ``None``: until
        the client disconnects.
    refuse
        Requests to be refused, see `Refusal`.
    generation, generation_time, processing_fetches
        Whether the reply is generated; how long fetch-response answers ``processing`` (by default
        as long as the stream takes); or for how many fetches it does.
    completed
        Whether the stream's last event is sent.
    order
        Chunks in order, with neighbours swapped, each sent twice, or every third missing.
    tokens, extra, system_empty, number_codes
        Whether tokens are returned; unknown events and fields; how an empty ``system`` is
        encoded; ``status_code`` as a number.
    expired
        Tokens that have expired, independent of the clock.
    signal, signal_when, spelling, ids, streaming, status_where, reopen
        Chatzy: a restriction or error signal (such as ``[FROZEN]``, ``[BLACKLISTED]``,
        ``no_message_found`` or ``__ERROR__: out of order``) and its place;
        signals as JSON or bare; ``id:`` lines; chunks or one payload; where get_stream_status
        puts its fields; what a stream that is opened a second time returns.
    """

    latency: float = 0.0
    first_chunk: float = 0.0
    pause: float = 0.0
    chunk_size: int = 0
    write_size: int = 0
    say: str | None = None
    chunks: tuple[str, ...] = ()
    framing: Framing = "sse"
    line_end: LineEnd = "lf"
    bom: bool = False
    cut_after: int | None = None
    cut_times: int = 1
    cut_how: CutHow = "reset"
    stall_after: int | None = None
    stall_times: int = 1
    stall_how: StallHow = "silent"
    stall_seconds: float | None = None
    comment_every: float = 0.05
    refuse: tuple[Refusal, ...] = ()
    generation: Generation = "ok"
    generation_time: float | None = None
    processing_fetches: int = 0
    completed: bool = True
    order: Order = "kept"
    tokens: bool = True
    extra: bool = False
    system_empty: EmptySystem = "list"
    number_codes: bool = False
    expired: tuple[str, ...] = ()
    signal: str | None = None
    signal_when: When = "end"
    spelling: Spelling = "json"
    ids: Ids = "each"
    streaming: bool = True
    status_where: Where = "data"
    reopen: Reopen = "nothing"

    @property
    def fixed_text(self) -> str | None:
        """The answer to every question; None: answer from the handbook."""
        return "".join(self.chunks) if self.chunks else self.say

    def for_request(self, endpoint: str) -> tuple[Faults, Faults, Refusal | None]:
        """The faults for one request of `endpoint`, those for later requests, and its refusal."""
        for index, refusal in enumerate(self.refuse):
            if refusal.endpoint in ("*", endpoint) and refusal.times > 0:
                rest = list(self.refuse)
                rest[index] = replace(refusal, times=refusal.times - 1)
                now = replace(self, cut_after=None, stall_after=None)
                return now, replace(self, refuse=tuple(rest)), refusal
        if self.cut_after is None and self.stall_after is None:
            return self, self, None
        cuttable = endpoint in _CUTTABLE
        cut = cuttable and self.cut_after is not None and self.cut_times > 0
        stall = cuttable and self.stall_after is not None and self.stall_times > 0
        now = replace(
            self,
            cut_after=self.cut_after if cut else None,
            stall_after=self.stall_after if stall else None,
        )
        later = replace(self, cut_times=self.cut_times - cut, stall_times=self.stall_times - stall)
        return now, later, None

    def checked(self) -> Faults:
        """These faults, or a FaultError that says which value is wrong."""
        return Faults.from_json({one.name: getattr(self, one.name) for one in fields(self)})

    def as_json(self) -> dict[str, Any]:
        """The faults as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], base: Faults | None = None) -> Faults:
        """Faults from JSON values; fields that are not named come from `base`.

        Raises
        ------
        FaultError
            An unknown field, or an invalid value.
        """
        _check_names(cls, values, "fault")
        # A place without a number of times is one more time, however many there were before.
        again = {f"{kind}_times": 1 for kind in ("cut", "stall") if f"{kind}_after" in values}
        changes: dict[str, Any] = again | {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        if isinstance(changes.get("refuse"), tuple):
            for one in changes["refuse"]:
                if isinstance(one, dict):
                    _check_names(Refusal, one, "field of a refusal")
            changes["refuse"] = tuple(
                Refusal(**one) if isinstance(one, dict) else one for one in changes["refuse"]
            )
        faults = replace(base or cls(), **changes)
        _check(faults)
        for refusal in faults.refuse:
            _check(refusal)
        return faults


def _check_names(cls: type[Any], given: Iterable[str], kind: str) -> None:
    """Compare names with the fields of a dataclass.

    Raises
    ------
    FaultError
        One is unknown; the message lists all.
    """
    known = [field.name for field in fields(cls)]
    for name in sorted(set(given) - set(known)):
        near = get_close_matches(name, known, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise FaultError(f"unknown {kind} {name!r}{meant}; known are: {', '.join(known)}")


def _check(value: Any) -> None:
    """Compare the fields of a dataclass with their annotations.

    Raises
    ------
    FaultError
        A field has the wrong type, a negative number, an empty text that has no effect, or a word
        that is not allowed.
    """
    for name, hint in get_type_hints(type(value)).items():
        given = getattr(value, name)
        if not _fits(given, hint):
            shown = repr(given) if len(repr(given)) <= _SHOWN else type(given).__name__
            raise FaultError(f"{name} must be {_words(hint)}, not {shown}")
        if name == "signal" and given == "":
            raise FaultError("signal must be a text such as [FROZEN], or None, not ''")


def _words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    if get_origin(hint) is tuple:
        return f"a list of {get_args(hint)[0].__name__}"
    words = str(getattr(hint, "__name__", hint))
    return f"{words}, 0 or more" if {"int", "float"} & set(words.split()) else words


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(isinstance(v, get_args(hint)[0]) for v in value)
    if isinstance(value, bool):
        return hint is bool
    if isinstance(value, int | float):
        # An int is a valid float.
        return 0 <= value < _MAX_NUMBER and (
            isinstance(value, hint) or isinstance(float(value), hint)
        )
    return isinstance(value, hint)


def _allowed_words() -> str:
    """A section of a docstring: the fields that take words, and which."""
    found = {
        name: get_args(hint)
        for cls in (Faults, Refusal)
        for name, hint in get_type_hints(cls).items()
        if get_origin(hint) is Literal
    }
    lines = (f"    {name}: {', '.join(words)}\n" for name, words in found.items())
    return f"\n    Allowed words\n    -------------\n{''.join(lines)}    "


Faults.__doc__ = f"{Faults.__doc__}{_allowed_words()}"
