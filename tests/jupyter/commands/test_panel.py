"""``%aeron panel --side``."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from panel_harness import PanelHarness

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.parser import parse_command
from aeron_magic.jupyter.commands import panel as command


@pytest.fixture
def shown(harness: PanelHarness, monkeypatch: pytest.MonkeyPatch) -> PanelHarness:
    """A front end that shows displays."""
    harness.app.shell.kernel = SimpleNamespace()
    harness.app.shell.get_parent = dict
    monkeypatch.setattr(command, "show", lambda *_: None)
    return harness


def test_without_sidecar_one_line_says_how_to_get_it(
    shown: PanelHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sidecar", None)
    with pytest.raises(UsageError) as caught:
        command.panel(shown.app, parse_command("panel --side"))
    assert 'pip install "aeron-magic[lab]"' in caught.value.hint


def test_an_earlier_docked_panel_is_closed(
    shown: PanelHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sidecar gets the panel as its output; it ignores updates."""
    made: list[Any] = []

    class Sidecar:
        def __init__(self, **options: Any) -> None:
            self.options, self.closed = options, False
            made.append(self)
            self.model_id = f"sidecar-{len(made)}"

        def close(self) -> None:
            self.closed = True

    monkeypatch.setitem(sys.modules, "sidecar", SimpleNamespace(Sidecar=Sidecar))
    for _ in range(2):
        command.panel(shown.app, parse_command("panel --side"))
    assert [one.closed for one in made] == [True, False]
    (output,) = made[1].options["outputs"]
    assert "application/vnd.jupyter.widget-view+json" in output["data"]
