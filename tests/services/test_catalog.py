"""The catalog of services, and that no other module branches on a service's name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import aeron_magic
from aeron_magic.sandbox import Sandbox
from aeron_magic.services.base import load
from aeron_magic.services.catalog import DEFAULT_SERVICE, SERVICES, ServiceInfo, service_info
from aeron_magic.services.settings import ANY_CREDENTIAL, Settings, resolve_settings

ROOT = Path(aeron_magic.__file__).parent


def test_each_service_has_a_file_and_each_file_an_entry() -> None:
    files = {path.stem for path in (ROOT / "services").glob("*.py")}
    parts = {"__init__", "base", "catalog", "settings", "aeronpay_bodies"}
    assert files - parts == set(SERVICES)
    assert DEFAULT_SERVICE in SERVICES


def test_an_entry_names_fields_of_the_settings_and_attributes_of_the_sandbox() -> None:
    for name, info in SERVICES.items():
        assert set(info.fields) <= {field.name for field in fields(Settings)}
        assert all(hasattr(Sandbox, address.in_sandbox) for address in info.addresses)
        values = {credential.field: ANY_CREDENTIAL for credential in info.credentials}
        assert load(resolve_settings(name, environ={}, **values)).settings.service == name


def test_the_catalog_says_which_settings_are_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    info = SERVICES[DEFAULT_SERVICE]
    secret = info._replace(credentials=tuple(c._replace(is_secret=True) for c in info.credentials))
    monkeypatch.setitem(SERVICES, DEFAULT_SERVICE, secret)
    service_info.cache_clear()
    values = {one.field: f"{one.field}-4f1c-hush" for one in info.credentials}
    try:
        assert resolve_settings(environ={}, **values).secrets == tuple(values.values())
    finally:
        service_info.cache_clear()


def test_an_unknown_service_has_its_name_as_title() -> None:
    """A conversation has an empty service before the first connection."""
    for name in ("", "elsewhere"):
        assert service_info(name) == ServiceInfo(name)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('service == "chatzy"', 1),
        ('service in ("aeronpay",)', 1),
        ('TITLES = {"aeronpay": 1}', 1),
        ('TITLES["chatzy"]', 1),
        ('connect("aeronpay")', 1),
        ('"""``"aeronpay"`` or ``"chatzy"``."""', 0),
        ("service == DEFAULT_SERVICE", 0),
    ],
)
def test_the_search_finds_a_name(code: str, expected: int) -> None:
    assert len(list(service_names(code))) == expected


def test_no_module_elsewhere_contains_a_services_name() -> None:
    """Except the sandbox, which serves them and imports nothing of ours."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] not in ("services", "sandbox")
        for line in service_names(path.read_text(encoding="utf-8"))
    ]
    assert not found


def service_names(code: str) -> Iterator[int]:
    """The lines of the string constants that are a service's name."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and node.value in SERVICES:
            yield node.lineno
