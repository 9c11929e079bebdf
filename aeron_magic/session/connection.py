"""To which service questions go: the embedded sandbox, AeronPay or Chatzy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from aeron_magic.client.client import AsyncClient
from aeron_magic.errors import CredentialsError
from aeron_magic.services.catalog import DEFAULT_SERVICE, SERVICES, service_info
from aeron_magic.services.settings import Settings, resolve_settings
from aeron_magic.session import credentials
from aeron_magic.session.io_loop import IOLoop

if TYPE_CHECKING:
    from aeron_magic.recording.recorder import Recorder
    from aeron_magic.sandbox.server import Sandbox

__all__ = ["Connection", "ConnectionManager"]

SANDBOX_CHUNK_DELAY = 0.012
"""Seconds between the sandbox's chunks where a person watches: fast, but to be seen."""

ANY_CREDENTIAL = "00000000-0000-4000-8000-000000000000"
"""A valid value of every credential, for the sandbox and for replays."""


class Connection(NamedTuple):
    """A service that questions go to."""

    settings: Settings
    client: AsyncClient
    sandbox: bool = False

    @property
    def label(self) -> str:
        name = SERVICES[self.settings.service].title
        return f"the sandbox, playing {name}" if self.sandbox else name

    def validate(self, question: str, *more: str) -> None:
        """Refuse a question before anything is kept of it.

        Raises
        ------
        ValueRefused
            It holds a secret.
        UsageError
            It, or what goes with it (``more``), contains an unpaired surrogate.
        """
        self.settings.reject_secrets(question)
        try:
            "".join((question, *more)).encode()
        except UnicodeEncodeError:
            from aeron_magic.client.httpx_transport import unpaired_surrogate

            raise unpaired_surrogate() from None


class ConnectionManager:
    """Makes connections, and keeps the one that is in use.

    Parameters
    ----------
    loop
        The loop that the clients are used on.
    timeout, fetch_timeout
        See :class:`~aeron_magic.services.settings.Settings`; may be changed at any time.

    Attributes
    ----------
    recorder
        Replays and records questions; None where recordings are off.
    """

    def __init__(self, loop: IOLoop, timeout: float, fetch_timeout: float) -> None:
        self.timeout = timeout
        self.fetch_timeout = fetch_timeout
        self.connection: Connection | None = None
        self.recorder: Recorder | None = None
        self._loop = loop
        self._sandbox: Sandbox | None = None

    def connect_sandbox(self, service: str = DEFAULT_SERVICE) -> Connection:
        """Start the embedded service if it does not run, and connect to it."""
        if self._sandbox is None:
            from aeron_magic.sandbox.faults import Faults
            from aeron_magic.sandbox.server import Sandbox

            self._sandbox = Sandbox(faults=Faults(pause=SANDBOX_CHUNK_DELAY)).start()
        info = SERVICES[service]
        options = {one.field: getattr(self._sandbox, one.in_sandbox) for one in info.addresses}
        options |= {one.field: ANY_CREDENTIAL for one in info.credentials}
        settings = self._resolve(service, **options)
        return self._use(settings, sandbox=True)

    def connect(self, service: str, **options: Any) -> Connection:
        """Connect to ``service``; options as for ``resolve_settings``.

        While recordings are replayed, nothing is sent, and credentials are not needed.
        """
        if self.recorder is not None and self.recorder.mode == "replay":
            unused = [one.field for one in service_info(service).credentials if not one.is_agent_id]
            options = {**dict.fromkeys(unused, ANY_CREDENTIAL), **options}
        return self._use(self._resolve(service, **options))

    def ensure_connected(self) -> Connection:
        """The connection; the first question connects to AeronPay if credentials are found.

        Raises
        ------
        CredentialsError
            There are none; the hint names the three ways to get going.
        """
        if self.connection is None:
            replaying = self.recorder is not None and self.recorder.mode == "replay"
            found = credentials.find(DEFAULT_SERVICE)
            if found is None and not replaying:
                raise CredentialsError(
                    "Not connected, and there are no credentials.",
                    hint=SERVICES[DEFAULT_SERVICE].how_to_connect,
                )
            return self.connect(DEFAULT_SERVICE, **(found or {}))
        settings = replace(
            self.connection.settings, timeout=self.timeout, fetch_timeout=self.fetch_timeout
        )
        return self._use(settings, self.connection.sandbox)

    def _resolve(self, service: str, **options: Any) -> Settings:
        return resolve_settings(
            service, timeout=self.timeout, fetch_timeout=self.fetch_timeout, **options
        )

    def _use(self, settings: Settings, sandbox: bool = False) -> Connection:
        """A connection with these settings: the one there is, if they are the same."""
        before = self.connection
        if before is None or before.settings != settings:
            client = AsyncClient(settings=settings)
            if before is not None:
                self._loop.submit(before.client.close())
            self.connection = before = Connection(settings, client, sandbox)
        before.client.recorder = self.recorder
        return before

    def close(self) -> None:
        """Close the connection and the sandbox."""
        if self.connection is not None:
            self._loop.run(self.connection.client.close())
            self.connection = None
        if self._sandbox is not None:
            self._sandbox.stop()
            self._sandbox = None
