"""The service that questions are sent to: the embedded sandbox, AeronPay or Chatzy."""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aeron_magic.client.client import AsyncClient
from aeron_magic.client.embedded import sandbox_settings, set_answers
from aeron_magic.client.io_loop import IOLoop
from aeron_magic.errors import AeronError, CredentialsError, RecordingError
from aeron_magic.services.catalog import DEFAULT_SERVICE, SERVICES, service_info
from aeron_magic.services.settings import (
    ANY_CREDENTIAL,
    Settings,
    partly_missing,
    record_mode,
    resolve_settings,
    validate_limits,
)
from aeron_magic.session import credentials

if TYPE_CHECKING:
    from aeron_magic.recording.recorder import Recorder


class Connection(NamedTuple):
    """A service that questions are sent to.

    ``address`` is the scope of its conversations.
    """

    settings: Settings
    client: AsyncClient
    address: str
    sandbox: bool = False

    @property
    def label(self) -> str:
        name = SERVICES[self.settings.service].title
        return f"the sandbox (as {name})" if self.sandbox else name


class _SessionClient(AsyncClient):
    """A client that may be made without a recording: its session asks only what it may."""

    _needs_permission = False


class ConnectionManager:
    """Creates connections and holds the current one.

    * ``options``: ``timeout``, ``fetch_timeout`` and others that every connection has; see
      :class:`~aeron_magic.services.settings.Settings`. :meth:`configure` changes them.

    Attributes:
    * ``recorder``: replays and records questions; None if recording is off.
    * ``answers``: the file that the sandbox answers from; None: the handbook.
    * ``recording_error``: why the recording that the environment names cannot be used; no question
      is asked then.
    """

    def __init__(self, loop: IOLoop, **options: Any) -> None:
        self.options = options
        self.connection: Connection | None = None
        self.recorder: Recorder | None = None
        self.answers: str | None = None
        self._answers_file = Path()
        self.recording_error: AeronError | None = None
        self._loop = loop

    def connect_sandbox(
        self, service: str = DEFAULT_SERVICE, answers: str | None = None
    ) -> Connection:
        """Connect to the embedded service; start it if it is not running.

        It answers from the file ``answers``, or from the handbook.

        Raises UsageError: the file cannot be read, or has no questions and answers.
        """
        from aeron_magic.sandbox.server import embedded_sandbox

        sandbox = embedded_sandbox()
        set_answers(sandbox, answers)
        self.answers = answers
        self._answers_file = Path(answers or "").expanduser().absolute()
        return self.use(sandbox_settings(sandbox, service, **self.options), sandbox=True)

    @property
    def answers_digest(self) -> str:
        """A digest of what the file of ``answers`` has now, as the sandbox reads it; else empty."""
        if self.answers is None:
            return ""
        try:
            content = self._answers_file.read_bytes()
        except OSError:
            content = os.urandom(8)  # what the sandbox answers now is not used later
        return sha256(content).hexdigest()[:16]

    def connect(self, service: str, **options: Any) -> Connection:
        """Connect to ``service``; options as for ``resolve_settings``.

        While a recording is replayed, nothing is sent, and credentials are not needed.
        """
        return self.use(self._with_credentials(service, **options))

    @property
    def replayed(self) -> Recorder | None:
        """The recorder, if it only replays: nothing is sent then."""
        recorder = self.recorder
        return recorder if recorder is not None and recorder.mode == "replay" else None

    @property
    def sends_nothing(self) -> bool:
        """Whether a recording is replayed, or has to be, although none is named yet."""
        has_to = self.recording_error is not None and record_mode() == "replay"
        return self.replayed is not None or has_to

    def _with_credentials(self, service: str, **options: Any) -> Settings:
        if self.sends_nothing:
            given = {**credentials.of_environment(service), **options}
            for one in service_info(service).credentials:
                if not given.get(one.field):
                    recorded = self._recorded_agent(service) if one.is_agent_id else ""
                    given[one.field] = recorded or ANY_CREDENTIAL
            options = given
        return resolve_settings(service, **{**self.options, **options})

    def _recorded_agent(self, service: str) -> str:
        """The id of the service's agent in the recording; empty if there is none.

        Raises RecordingError if there are several.
        """
        if self.recorder is None:
            return ""
        found = [one.partition("/") for one in self.recorder.store.services()]
        agents = sorted({agent for name, _, agent in found if name == service and agent})
        if len(agents) > 1:
            raise RecordingError(
                f"{self.recorder.store.name} has conversations with several agents: "
                f"{', '.join(agents)}.",
                hint=f"Name one: `%aeron connect {service} --chatbot-id UUID`.",
            )
        return agents[0] if agents else ""

    def scope_of(self, service: str, **options: Any) -> str:
        """Where conversations would be held after :meth:`connect` with these arguments.

        Raises CredentialsError: the service's credentials are missing.
        """
        return self._with_credentials(service, **options).conversation_scope

    def connect_default(self) -> Connection:
        """Connect to AeronPay with the credentials of the environment or the keyring.

        While a recording is replayed: to the service that it is of.

        Raises CredentialsError: there are none; the hint names three ways to connect. Raises
        RecordingError: the recording is of several services, or of several agents.
        """
        if self.replayed is not None:
            return self.connect(self._recorded_service(self.replayed))
        found = credentials.find(DEFAULT_SERVICE)
        if found is None:
            raise partly_missing(DEFAULT_SERVICE) or CredentialsError(
                "Not connected, and there are no credentials.",
                hint=SERVICES[DEFAULT_SERVICE].how_to_connect,
            )
        return self.connect(DEFAULT_SERVICE, **found)

    def _recorded_service(self, recorder: Recorder) -> str:
        names = {one.partition("/")[0] for one in recorder.store.services()}
        known = [name for name in SERVICES if name in names]
        if len(known) > 1:
            raise RecordingError(
                f"{recorder.store.name} has questions to several services: {', '.join(known)}.",
                hint=f"Connect to one of them first: `%aeron connect {known[0]}`. "
                "A replay needs no account.",
            )
        return known[0] if known else DEFAULT_SERVICE

    def configure(self, **options: Any) -> None:
        """Use other options from now on; those that are not named keep their values."""
        if "limits" in options:
            options["limits"] = validate_limits(options["limits"])
        self.options |= options
        if self.connection is not None:
            settings = replace(self.connection.settings, **self.options)
            self.use(settings, self.connection.sandbox)

    def set_recorder(self, recorder: Recorder | None) -> None:
        """Replay and record with ``recorder`` from now on; None stops that.

        A connection that was made for a replay, without credentials, ends with it.
        """
        was_replayed = self.sends_nothing
        self.recorder, self.recording_error = recorder, None
        if was_replayed and self.replayed is None and self._has_no_credentials():
            self.drop()
        if self.connection is not None:
            self.connection.client.recorder = recorder

    def _has_no_credentials(self) -> bool:
        if self.connection is None or self.connection.sandbox:
            return False
        return self.connection.settings.has_no_account

    def use(self, settings: Settings, sandbox: bool = False) -> Connection:
        """The connection with these settings: the current one, if its settings are the same."""
        before = self.connection
        if before is not None and before.settings == settings:
            return before
        client = _SessionClient(settings=settings, recorder=self.recorder)
        if before is not None:
            self._loop.submit(before.client.close_when_idle())  # a reply may still be read
        self.connection = Connection(settings, client, settings.conversation_scope, sandbox)
        return self.connection

    def drop(self) -> None:
        """End the use of the connection; a reply that is being read still ends."""
        if self.connection is not None:
            self._loop.submit(self.connection.client.close_when_idle())
            self.connection = None

    def close(self) -> None:
        if self.connection is not None:
            self._loop.run(self.connection.client.close())
            self.connection = None
