"""The proxies that the environment names, and the hosts that are reached without one."""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from aeron_magic.errors import UsageError

SCHEMES = ("http", "https", "socks4", "socks5", "socks5h")
PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine: ``localhost``, ``127.0.0.0/8`` or ``::1``."""
    ip = _ip(host)
    return host == "localhost" or (ip is not None and ip.is_loopback)


def proxy_for(address: str) -> str | None:
    """The proxy for ``address``; None for this machine and for the hosts of ``NO_PROXY``.

    An entry of ``NO_PROXY`` is a host with its subdomains, an IP address, or a network such as
    ``10.0.0.0/8`` or ``fd07::/64``; it may have a port, a scheme, and brackets. ``*`` is all hosts.

    Raises UsageError: the proxy or an entry of ``NO_PROXY`` cannot be used.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    named = getproxies_environment()
    ours = bool(named.keys() - {"no"})
    proxies = named if ours else getproxies()  # those of the system
    kind = parts.scheme if proxies.get(parts.scheme) else "all"
    proxy = proxies.get(kind)
    if not proxy or is_loopback(host) or (not ours and proxy_bypass(host)):
        return None
    if _bypassed(named.get("no", ""), host, parts.port or PORTS.get(parts.scheme, 0)):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not _is_usable(proxy):
        raise UsageError(
            f"{_variable(kind)} in the environment is not the address of a proxy.",
            hint="It is an address such as http://proxy.example:8080.",
        )
    return proxy


def _is_usable(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy)
        good = bool((parts.hostname or "").encode("idna")) and parts.port != 0
    except ValueError:
        return False
    return good and parts.scheme.lower() in SCHEMES and not re.search(r"\s", proxy)


def _variable(kind: str) -> str:
    """The name of the variable that is in use, as it is spelled in the environment."""
    name = f"{kind}_proxy"
    return next((one for one in (name, name.upper()) if os.environ.get(one)), name.upper())


def _bypassed(entries: str, host: str, port: int) -> bool:
    found = False
    for number, entry in enumerate(re.split(r"[,\s]+", entries), 1):
        try:
            found |= entry != "" and _matches(entry.lower(), host.lower(), port)
        except ValueError:
            raise UsageError(
                f"Entry {number} of {_variable('no')} in the environment is neither a host nor an "
                "IP address nor a network.",
                hint="It is a list such as localhost,.example.com,10.0.0.0/8,[::1],fd07::/64.",
            ) from None
    return found


def _matches(entry: str, host: str, port: int) -> bool:
    """Whether ``entry`` names ``host``.

    Raises ValueError if it cannot be used.
    """
    if entry == "*":
        return True
    entry = re.sub(r"^[a-z][a-z0-9+.-]*://", "", entry)
    bare = re.fullmatch(r"\[([^\[\]]*)\](/\d+)?", entry)
    entry = "".join(filter(None, bare.groups())) if bare else entry
    ip = _ip(host)
    if "/" in entry.rstrip("/"):
        if re.fullmatch(r"\d+(\.\d+){0,2}/\d+", entry):  # such as 169.254/16
            entry = entry.replace("/", ".0" * (3 - entry.count(".")) + "/")
        network = ip_network(entry, strict=False)
        return ip is not None and ip.version == network.version and ip in network
    entry = entry.rstrip("/")
    if (named := _ip(entry)) is not None:
        return named == ip
    parts = urlsplit(f"//{entry}")
    name = (parts.hostname or "").removeprefix("*").strip(".")
    if not name or parts.username is not None or not re.fullmatch(r"[\w.:%-]+", name):
        raise ValueError
    if parts.port is not None and parts.port != port:
        return False
    if (named := _ip(name)) is not None:
        return named == ip
    return host == name or host.endswith(f".{name}")


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        # Only an IPv6 address has a zone: 127.0.0.1%.example is a name.
        return ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
