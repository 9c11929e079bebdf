"""Terminals that cannot show every character: nothing that was paid for is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from private_home import private_environment

from aeron_magic.sandbox import Sandbox

pytestmark = pytest.mark.jupyter

HINDI, EMOJI = "नमस्ते", "\U0001f600"
CODEC = {"cp1252": "cp1252", "ascii": "ascii", "latin-1": "latin-1", "C": "ascii"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

SCRIPT = f"""
%load_ext aeron_magic
%aeron ask -c {HINDI} --as {EMOJI} -o reply Say {HINDI}
print("complete", reply.status, context_token == reply.context_token)
text = reply.text
%aeron history
%aeron tree
%aeron last
%aeron export out.md
%aeron ask -f json -o data Say it
print("bound", data.text == text, context_token == data.context_token)
%aeron
%unload_ext aeron_magic
%load_ext aeron_magic
%aeron ask --after {HINDI}{EMOJI} Well
"""


@pytest.mark.parametrize("encoding", CODEC)
def test_characters_are_replaced_and_the_reply_is_kept(
    sandbox: Sandbox, tmp_path: Path, encoding: str
) -> None:
    """In replies, names, tables, the status, the line of a reload, and errors."""
    sandbox.set_faults(say=json.dumps(f"{HINDI} {EMOJI} “quoted”", ensure_ascii=False))
    environment = {
        **private_environment(tmp_path),
        "AERON_BASE_URL": sandbox.aeronpay_url,
        "AERON_CLIENT_ID": "me",
        "AERON_CLIENT_SECRET": "a-secret",
        "JPY_SESSION_NAME": "notes.ipynb",
        **(C_LOCALE if encoding == "C" else {"PYTHONIOENCODING": encoding}),
    }
    (tmp_path / "cells.ipy").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "cells.ipy"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
        timeout=50,
    )
    shown = (done.stdout + done.stderr).decode(CODEC[encoding])
    assert "complete complete True" in shown
    assert "bound True True" in shown
    assert "UnicodeEncodeError" not in shown
    assert shown.count("quoted") >= 4
    assert "%aeron resume" in shown
    assert f"has no turn '{'?' * 7}'" in shown
    assert HINDI in (tmp_path / "out.md").read_text(encoding="utf-8")


def test_a_file_holds_no_progress_bar(sandbox: Sandbox, tmp_path: Path) -> None:
    """Standard output and error are pipes; a terminal shows one."""
    environment = {
        **private_environment(tmp_path),
        "AERON_BASE_URL": sandbox.aeronpay_url,
        "AERON_CLIENT_ID": "me",
        "AERON_CLIENT_SECRET": "a-secret",
    }
    cells = "%load_ext aeron_magic\n%aeron ask --each ['one','two'] Say {{row}}\n"
    (tmp_path / "cells.ipy").write_text(cells, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "cells.ipy"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=True,
        timeout=50,
    )
    assert b"2 asked now" in done.stdout
    assert b"it/s" not in done.stderr
    assert b"row/s" not in done.stderr
