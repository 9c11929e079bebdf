"""``Client("sandbox")``: the embedded service, started for one client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aeron_magic.errors import AeronError, UsageError
from aeron_magic.services.catalog import DEFAULT_SERVICE, SERVICES
from aeron_magic.services.settings import Settings, any_credentials, resolve_settings

if TYPE_CHECKING:
    from aeron_magic.sandbox.server import Sandbox

SANDBOX = "sandbox"


def start_sandbox() -> Sandbox:
    """Start a sandbox on a free port of this machine.

    Raises AeronError: the system allows no local server.
    """
    from aeron_magic.sandbox.server import Sandbox

    try:
        return Sandbox().start()
    except OSError as error:
        raise AeronError(
            f"The sandbox cannot be started: {error.strerror or 'no local port is free'}.",
            hint="It needs a port on 127.0.0.1.",
        ) from None


def sandbox_settings(sandbox: Sandbox, service: str = DEFAULT_SERVICE, **options: Any) -> Settings:
    """Settings for ``service`` at ``sandbox``; ``options`` as for ``resolve_settings``.

    Raises UsageError: an option is invalid, or an address is given.
    """
    info = SERVICES[service]
    if any(options.pop(address.field, None) for address in info.addresses):
        raise UsageError(
            "The sandbox has its own address.", hint="Leave out base_url and stream_url."
        )
    options |= {one.field: getattr(sandbox, one.in_sandbox) for one in info.addresses}
    return resolve_settings(service, **options, **any_credentials(service))
