"""What a question does, for ``logging`` and OpenTelemetry, without content, tokens or secrets.

The logger ``aeron_magic`` gets each request (DEBUG), and each wait, recovery and end (INFO). Each
question is one span, through retries and recovery, with these as its events. Names follow the
semantic conventions for generative AI of OpenTelemetry 1.37.0.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import traceback
from typing import Any
from urllib.parse import urlsplit

from aeron_magic.errors import AeronError, RateLimited
from aeron_magic.markdown_text import plural
from aeron_magic.protocol.flow import (
    Close,
    ConnectionLost,
    OpenStream,
    ReadChunk,
    Response,
    Send,
    Sleep,
    StepResult,
)
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.services.settings import Settings

LOGGER = logging.getLogger("aeron_magic")
MAX_ID = 200
SCHEMA = "https://opentelemetry.io/schemas/1.37.0"

_numbers = itertools.count(1)


def log_failure(what: str, error: BaseException) -> None:
    """Log an internal failure: its kind and place, but not its text, which may quote content."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    LOGGER.error("%s %s\n%s", what, type(error).__name__, frames)


class Watch:
    """Observes one run of a flow, or all runs of a question of a batch.

    Parameters
    ----------
    settings
        The service and its address.
    question
        Whether it is a question, which gets a span; else a fetch or a list.
    repeated
        Whether a question that is refused with 429 is asked again: its span stays open.
    """

    def __init__(
        self, settings: Settings, *, question: bool = False, repeated: bool = False
    ) -> None:
        self._settings = settings
        self._is_question = question
        self._repeated = repeated
        self._name = f"{settings.service} {next(_numbers)}"
        self._requests = 0
        self._span: Any = None
        self._sent: Send | OpenStream | None = None
        self.refused: tuple[str, ReplyAccumulator, AeronError | None] | None = None
        """How the last run ended, if the question may be asked again; :meth:`close` ends it."""
        self.is_waiting = True
        """Whether :meth:`received` is to be called with the next result: not for each chunk."""

    def received(self, result: StepResult) -> None:
        """The flow begins, or gets the result of a request."""
        sent, self._sent, self.is_waiting = self._sent, None, False
        if sent is None:
            self._begin()
        if sent is None or not isinstance(result, Response | ConnectionLost):
            return
        url = urlsplit(sent.request.url)
        method, endpoint = sent.request.method, url.path.rpartition("/")[2]
        if isinstance(result, Response):
            outcome = f"HTTP {result.status}"
            facts: dict[str, Any] = {"http.response.status_code": result.status}
        else:
            outcome = result.reason if result.sent else f"no connection: {result.reason}"
            facts = {"aeron_magic.connection": "lost" if result.sent else "none"}
        self._event("request", {"aeron_magic.endpoint": endpoint, **facts})
        LOGGER.debug(
            "%s: request %d, %s %s at %s: %s after %.3f s",
            *(self._name, self._requests, method, endpoint, url.hostname, outcome, result.elapsed),
        )

    def next(self, step: Send | OpenStream | ReadChunk | Close | Sleep) -> None:
        """The flow's next step, other than events and reads."""
        if isinstance(step, Send | OpenStream):
            self._sent, self.is_waiting = step, True
            self._requests += 1
        elif isinstance(step, Sleep) and self._requests:  # else a replay makes a recorded pause
            self._event("wait", {"aeron_magic.seconds": step.seconds})
            LOGGER.info("%s: waits %.2f s", self._name, step.seconds)

    def recovering(self) -> None:
        """The reply's stream was lost; without a request, it was when it was recorded."""
        if not self._requests:
            return
        self._event("recovery", {})
        LOGGER.info("%s: the stream was lost; recovers the reply", self._name)

    def _begin(self) -> None:
        """Start the span; its parent is the current span of this thread or task."""
        if not self._is_question or (tracer := _tracer()) is None:
            return
        from opentelemetry.trace import SpanKind

        url = urlsplit(self._settings.base_url)
        self._span = tracer.start_span(
            "chat",
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": self._settings.service,
                "server.address": url.hostname or "",
                "server.port": url.port or (443 if url.scheme == "https" else 80),
            },
        )

    def end(self, status: str, accumulator: ReplyAccumulator, error: AeronError | None) -> None:
        """The run has ended with ``status``."""
        refused = self._repeated and isinstance(error, RateLimited)
        self.refused = (status, accumulator, error) if refused else None
        if refused or not self._is_question:
            return
        kind = type(error).__name__ if error is not None else ""
        if LOGGER.isEnabledFor(logging.INFO):
            LOGGER.info(
                "%s: %s after %s%s",
                *(self._name, status, plural(self._requests, "request")),
                f" ({kind})" if kind else "",
            )
        span, self._span = self._span, None
        if span is None:
            return
        from opentelemetry.trace import Status, StatusCode

        span.set_attribute("aeron_magic.status", status)
        span.set_attribute("aeron_magic.requests", self._requests)
        reply = accumulator.reply()
        span.set_attribute("aeron_magic.replayed", reply.replayed)
        if reply.msg_id:
            span.set_attribute("gen_ai.response.id", reply.msg_id[:MAX_ID])
        if status in ("failed", "incomplete"):
            span.set_attribute("error.type", kind or "_OTHER")
            span.set_status(Status(StatusCode.ERROR, kind))
        span.end()

    def close(self) -> None:
        """End a question that was refused, and is not asked again."""
        self._repeated = False
        if self.refused is not None:
            self.end(*self.refused)

    def _event(self, name: str, facts: dict[str, Any]) -> None:
        if self._span is not None:
            self._span.add_event(f"aeron_magic.{name}", facts)


def _tracer() -> Any:
    """Ours of the current provider; None where no program can have set a provider.

    The package takes 20 ms to import, so it is not imported where nothing else imports it.
    """
    configured = "OTEL_PYTHON_TRACER_PROVIDER" in os.environ
    if "opentelemetry.trace" not in sys.modules and not configured:
        return None
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace.get_tracer("aeron_magic", schema_url=SCHEMA)
