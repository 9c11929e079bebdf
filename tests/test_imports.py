"""Imports in a fresh process: modules are imported when they are first used."""

from __future__ import annotations

import importlib

import pytest
from fresh_process import modules_after

HEAVY = {
    "IPython",
    "anywidget",
    "httpx",
    "ipykernel",
    "ipywidgets",
    "keyring",
    "markdown_it",
    "msgspec",
    "nh3",
    "numpy",
    "pandas",
    "pygments",
    "traitlets",
}
SERVER = {"aeron_magic.sandbox", "http.server", "socketserver", "sqlite3"}


def test_the_package_imports_nothing_else() -> None:
    """Neither IPython, httpx, pandas, widgets, the sandbox nor its own modules."""
    found = modules_after("import aeron_magic")
    assert not found & (HEAVY | SERVER)
    assert {name for name in found if name.startswith("aeron_magic")} == {"aeron_magic"}
    assert len(found) < 40


def test_replies_and_errors_need_no_network_library() -> None:
    """For a program that only reads stored replies."""
    found = modules_after("from aeron_magic import AeronError, Reply")
    assert not found & (HEAVY | SERVER)
    assert "asyncio" not in found


def test_a_client_needs_neither_notebook_nor_server() -> None:
    """The only heavy import is the HTTP library."""
    found = modules_after(
        "from aeron_magic import Client; Client(client_id='a', client_secret='b')"
    )
    # httpx imports pygments for its command line, if it is installed.
    assert found & HEAVY - {"pygments"} == {"httpx"}
    assert not found & {"aeron_magic.sandbox", "sqlite3"}
    assert not {name for name in found if name.startswith("aeron_magic.jupyter")}


@pytest.mark.parametrize("service", ["aeronpay", "chatzy"])
def test_a_services_flows_need_no_network_library(service: str) -> None:
    found = modules_after(f"import aeron_magic.services.{service}")
    assert not found & (HEAVY | SERVER)
    assert not found & {"asyncio", "socket", "ssl", "threading"} - modules_after(
        "import random, secrets, email.utils"
    )


def test_a_question_is_sent_before_the_display_is_imported() -> None:
    """The display is a third of our modules until then."""
    found = modules_after(
        "import aeron_magic.jupyter.commands.ask, aeron_magic.session.session;"
        "import aeron_magic.services.aeronpay"
    )
    shows = {
        "jupyter.display.live",
        "jupyter.display.outputs",
        "jupyter.display.publish",
        "rendering.incremental",
        "rendering.mimebundle",
        "rendering.safe_html",
        "replies.extract",
    }
    assert "aeron_magic.client.httpx_transport" in found
    assert not found & {"aeron_magic.sandbox", "keyring", "msgspec", "pandas", "platformdirs"}
    assert not found & {f"aeron_magic.{name}" for name in shows}
    import_module = importlib.import_module
    assert all(import_module(f"aeron_magic.{name}") for name in shows)  # the names are modules


def test_loading_the_extension_imports_nothing_heavy() -> None:
    """Neither network, widgets, pandas nor server, in a running shell."""
    shell = "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance()"
    before = modules_after(shell)
    code = (
        f"{shell}; s.run_line_magic('load_ext', 'aeron_magic'); s.find_cell_magic('aeron').__name__"
    )
    found = modules_after(code) - before
    assert not found & (HEAVY | SERVER)
    assert "aeron_magic.jupyter.extension" in found
    later = tuple(f"aeron_magic.{name}" for name in ("client", "prompts", "protocol", "services"))
    assert not [name for name in found if name.startswith(later)]


def test_a_batch_imports_no_table_library_before_it_has_a_table() -> None:
    """Nor the progress bar before one is shown."""
    found = modules_after("import aeron_magic.batch.api")
    assert "aeron_magic.prompts.items" in found
    assert not found & {"distributed", "narwhals", "pandas", "tqdm"}


def test_pygments_is_imported_with_the_first_code_block() -> None:
    found = modules_after("import aeron_magic.rendering.highlighting")
    assert "markdown_it" in found
    assert "pygments" not in found


def test_the_library_that_validates_is_imported_with_a_recording_or_stored_turn() -> None:
    """Neither with the extension, nor with a session, nor to list turns."""
    found = modules_after(
        "import aeron_magic.session.session;"
        "from aeron_magic.conversations.tree import is_elsewhere; assert not is_elsewhere('a', 'a')"
    )
    assert "aeron_magic.conversations.history_db" in found
    assert not {"msgspec", "aeron_magic.recording.recorder"} & set(found)
