"""Credentials for the sandbox, for kernels, terminals and notebooks."""

from __future__ import annotations

from aeron_magic.sandbox import Sandbox

__all__ = ["SECRET", "connecting", "credentials"]

SECRET = "hush-4f1c-hush"
"""May appear only in the headers of a request."""


def credentials(address: str) -> dict[str, str]:
    """Environment variables that connect a process to AeronPay at this address."""
    return {
        "AERON_CLIENT_ID": "tester",
        "AERON_CLIENT_SECRET": SECRET,
        "AERON_BASE_URL": address,
    }


def connecting(sandbox: Sandbox, service: str = "aeronpay") -> str:
    """The source of a cell that loads the extension and connects it to ``sandbox``."""
    if service == "chatzy":
        return (
            "%load_ext aeron_magic\n"
            "%aeron connect chatzy --chatbot-id 00000000-0000-4000-8000-000000000000"
            f" --base-url {sandbox.chatzy_url} --stream-url {sandbox.chatzy_stream_url}"
        )
    return (
        "%load_ext aeron_magic\n"
        "%env AERON_CLIENT_ID=tester\n"
        f"%env AERON_CLIENT_SECRET={SECRET}\n"
        f"%aeron connect aeronpay --base-url {sandbox.aeronpay_url}"
    )
