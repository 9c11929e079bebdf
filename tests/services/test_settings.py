"""Settings: from parameters, the environment, or the vendors' addresses."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import pytest

from aeron_magic import AsyncClient, Client, ask_many, check
from aeron_magic.errors import CredentialsError, RecordingError, UsageError
from aeron_magic.services.catalog import SERVICES
from aeron_magic.services.settings import (
    MAX_TIMEOUT,
    Settings,
    resolve_settings,
    validate_timeout,
)

SECRET = "s3cr3t-0815"
KEYS = {"AERON_CLIENT_ID": "me", "AERON_CLIENT_SECRET": SECRET}
AGENT = "725e1f05-6142-467e-bdec-47862d50da79"


def test_the_environment_supplies_what_is_not_given() -> None:
    """Credentials and addresses."""
    env = {**KEYS, "AERON_BASE_URL": "https://pay.test/ai/"}
    found = resolve_settings(environ=env)
    assert found == Settings(
        "aeronpay", "https://pay.test/ai", client_id="me", client_secret=SECRET
    )


def test_parameters_override_the_environment() -> None:
    env = {**KEYS, "AERON_BASE_URL": "https://pay.test"}
    found = resolve_settings(
        client_id="you", client_secret="other", base_url="http://127.0.0.1:1/x", environ=env
    )
    assert (found.client_id, found.client_secret) == ("you", "other")
    assert found.base_url == "http://127.0.0.1:1/x"


def test_without_either_the_vendors_address_is_used() -> None:
    env = {**KEYS, "CHATZY_CHATBOT_ID": AGENT}
    for name, info in SERVICES.items():
        settings = resolve_settings(name, environ=env)
        for address in info.addresses:
            assert getattr(settings, address.field) == address.default


def test_chatzys_environment() -> None:
    """The agent's id in upper or lower case, and both addresses."""
    env = {
        "CHATZY_CHATBOT_ID": AGENT.upper(),
        "CHATZY_BASE_URL": "https://a.test",
        "CHATZY_STREAM_URL": "https://b.test/",
    }
    found = resolve_settings("chatzy", environ=env)
    assert (found.chatbot_id, found.base_url, found.stream_url) == (
        AGENT,
        "https://a.test",
        "https://b.test",
    )


def test_nothing_is_read_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set later is used."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AERON_BASE_URL", raising=False)
    assert resolve_settings().client_secret == SECRET


@pytest.mark.parametrize(
    ("env", "given", "missing"),
    [
        ({}, {}, "AERON_CLIENT_ID and AERON_CLIENT_SECRET"),
        ({"AERON_CLIENT_ID": "me"}, {}, "AERON_CLIENT_SECRET"),
        ({"AERON_CLIENT_SECRET": "x"}, {}, "AERON_CLIENT_ID"),
        ({}, {"client_id": "me"}, "AERON_CLIENT_SECRET"),
    ],
)
def test_incomplete_credentials_are_rejected(
    env: dict[str, str], given: dict[str, str], missing: str
) -> None:
    """The error names the variables that are missing, and the login."""
    with pytest.raises(CredentialsError) as caught:
        resolve_settings(environ=env, **given)
    assert f"et {missing} in the environment" in caught.value.hint
    assert "%aeron login" in caught.value.hint
    if " and " not in missing:
        assert str(caught.value).endswith(f"is missing: {missing} is not set.")


def test_chatzy_needs_an_agent() -> None:
    """The hint names the variable and the option."""
    with pytest.raises(CredentialsError) as caught:
        resolve_settings("chatzy", environ={})
    assert "CHATZY_CHATBOT_ID" in caught.value.hint
    assert "--chatbot-id" in caught.value.hint


@pytest.mark.parametrize("bad", [5, b"secret", ["secret"]])
@pytest.mark.parametrize("name", ["client_id", "client_secret", "base_url"])
def test_a_value_of_another_type_is_a_usage_error(name: str, bad: Any) -> None:
    given = {"client_id": "me", "client_secret": SECRET, name: bad}
    with pytest.raises(UsageError) as caught:
        resolve_settings(environ={}, **given)
    assert type(bad).__name__ in str(caught.value)
    assert "secret" not in str(caught.value).replace("client-secret", "")


@pytest.mark.parametrize("bad", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}é", f'{SECRET}\x00"'])
def test_a_secret_that_is_not_allowed_in_a_header_is_rejected_and_not_shown(bad: str) -> None:
    """Later it would fail in an error that quotes it."""
    with pytest.raises(CredentialsError) as caught:
        resolve_settings(client_id="me", client_secret=bad, environ={})
    assert SECRET not in "\n".join(caught.value.lines())


@pytest.mark.parametrize(
    "url",
    [
        "pay.test",
        "ftp://pay.test",
        "https://",
        "https://pay.test:99999",
        "https://pay.test:0",
        "https://[::1",
        "https://pay..test",
        f"https://{'a' * 64}.test",
        "https://pay.test/?a=1",
        "https://pay.test/#a",
        "https://pay.test/a b",
        "https://me:pw@pay.test",
        "https://me@pay.test",
        "ftp://me:pw@pay.test",
        "https://me:pw@[::1",
    ],
)
def test_an_invalid_address_is_rejected(url: str) -> None:
    """A password in it is not shown."""
    with pytest.raises(UsageError) as caught:
        resolve_settings(base_url=url, environ=KEYS)
    shown = "\n".join(caught.value.lines())
    assert caught.value.hint
    assert "pw" not in shown


def test_another_base_url_needs_a_stream_url() -> None:
    """Else the vendor's host would be asked for the replies of another server."""
    env = {"CHATZY_CHATBOT_ID": AGENT}
    for given, own in (
        ({"base_url": "http://127.0.0.1:1"}, {}),
        ({}, {"CHATZY_BASE_URL": "https://a.test"}),
    ):
        with pytest.raises(UsageError, match="stream_url is missing") as caught:
            resolve_settings("chatzy", environ={**env, **own}, **given)
        assert "--stream-url" in caught.value.hint
        assert "CHATZY_STREAM_URL" in caught.value.hint
    resolve_settings("chatzy", environ=env, base_url=SERVICES["chatzy"].addresses[0].default)
    resolve_settings("chatzy", environ=env, stream_url="https://b.test")


@pytest.mark.parametrize("name", ["timeout", "fetch_timeout"])
@pytest.mark.parametrize(
    "seconds", [0, -1, float("nan"), float("inf"), MAX_TIMEOUT * 2, "30", None]
)
def test_an_invalid_timeout_is_rejected(name: str, seconds: Any) -> None:
    with pytest.raises(UsageError, match=name):
        resolve_settings(environ=KEYS, **{name: seconds})


def test_a_valid_timeout_is_returned() -> None:
    assert validate_timeout("timeout", 0.5) == 0.5


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("", ""),
        ("AeronPay", "'aeronpay'"),
        ("sandbx", "'sandbox'"),
        ("../client", ""),
        ("openai", ""),
    ],
)
def test_an_unknown_service_is_rejected(name: str, near: str) -> None:
    """The hint names the services and the nearest; in Python the sandbox is one of them."""
    with pytest.raises(UsageError) as caught:
        resolve_settings(name, environ=KEYS)
    assert "aeronpay, chatzy and sandbox" in caught.value.hint
    assert (f"Did you mean {near}?" in caught.value.hint) == bool(near)


def test_an_agents_id_that_is_not_a_uuid_is_rejected() -> None:
    """The hint shows one."""
    with pytest.raises(UsageError) as caught:
        resolve_settings("chatzy", chatbot_id="mybot", environ={})
    assert "725e1f05" in caught.value.hint


def test_no_repr_shows_the_credentials() -> None:
    """Neither of the settings nor of their container."""
    found = resolve_settings(environ=KEYS)
    for shown in (repr(found), str(found), repr([found]), repr({"settings": found})):
        assert SECRET not in shown
        assert "'me'" not in shown


def test_secrets_are_the_values_to_keep_out_of_prompts_recordings_and_errors() -> None:
    assert resolve_settings(environ=KEYS).secrets == (SECRET,)
    assert resolve_settings("chatzy", chatbot_id=AGENT, environ={}).secrets == ()
    for_a_sandbox = {**KEYS, "AERON_CLIENT_SECRET": "any"}  # which many words contain
    assert resolve_settings(environ=for_a_sandbox).secrets == ()


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        resolve_settings(environ=KEYS).timeout = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "url",
    [
        "https://me:pass-word@host.example",
        "me:pass-word@host.example",
        "https:/me:pass-word@host.example",
        "https:\\\\me:pass-word@host.example",
        "ftp://me:pass-word@host.example",
        "https://host.example/?key=pass-word",
        "https://host.example/#pass-word",
        "https://me:pass-word@[::1",
    ],
)
def test_an_address_that_may_contain_a_password_is_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_settings(base_url=url, client_id="me", client_secret="mine")
    assert "pass-word" not in "".join(caught.value.lines())


def test_what_is_given_as_an_agents_id_is_not_shown() -> None:
    """It may be a secret of the other service."""
    with pytest.raises(UsageError) as caught:
        resolve_settings("chatzy", chatbot_id="hush-4f1c-hush", environ={})
    assert "hush" not in "".join(caught.value.lines())


@pytest.mark.parametrize(
    ("service", "variable", "value"),
    [
        ("aeronpay", "AERON_BASE_URL", "127.0.0.1:18872/aeronpay"),
        ("aeronpay", "AERON_BASE_URL", "https://me:hush@host"),
        ("aeronpay", "AERON_CLIENT_SECRET", "two\nlines"),
        ("chatzy", "CHATZY_STREAM_URL", "ftp://host"),
        ("chatzy", "CHATZY_CHATBOT_ID", "mybot"),
    ],
)
def test_an_invalid_value_of_the_environment_is_named_by_its_variable(
    service: str, variable: str, value: str
) -> None:
    """Also of credentials that were read from it before; but not for a value of an option."""
    env = {**KEYS, "CHATZY_CHATBOT_ID": AGENT, variable: value}
    (field,) = [
        one.field
        for one in (*SERVICES[service].addresses, *SERVICES[service].credentials)
        if one.variable == variable
    ]
    for given in ({}, {field: value}):
        with pytest.raises((UsageError, CredentialsError)) as caught:
            resolve_settings(service, environ=env, **given)
        assert f"comes from {variable} in the environment" in caught.value.hint
    with pytest.raises((UsageError, CredentialsError)) as caught:
        resolve_settings(service, environ=env, **{field: value + "?"})
    assert variable not in caught.value.hint


@pytest.mark.parametrize("mode", ["replay", "replay ", "Replay"])
def test_a_client_without_a_recording_is_refused_where_only_replays_may_be(
    monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """It would send and be charged; the sandbox is on this machine."""
    monkeypatch.setenv("AERON_RECORD_MODE", mode)
    for kind in (Client, AsyncClient):
        with pytest.raises(RecordingError, match="nothing is sent"):
            kind("aeronpay", client_id="me", client_secret="a long secret")
    monkeypatch.setenv("AERON_CLIENT_ID", "me")
    monkeypatch.setenv("AERON_CLIENT_SECRET", "a long secret")
    monkeypatch.setenv("AERON_BASE_URL", "https://127.0.0.1:1")
    settings = Settings("aeronpay", "https://127.0.0.1:1", client_id="me", client_secret="long")
    for call in (
        partial(ask_many, ["a"]),
        partial(ask_many, ["a"], settings=settings),
        partial(Client, settings=settings),
        partial(AsyncClient, settings=settings),
        partial(check, "no-file.chat.md"),
    ):
        with pytest.raises(RecordingError, match="nothing is sent"):
            call()
    with Client("sandbox") as client:
        assert client.ask("What is a token?").is_complete
        with Client(settings=client.settings) as same:
            assert same.ask("What is a token?").is_complete
        assert list(ask_many(["a"], settings=client.settings).status) == ["complete"]
