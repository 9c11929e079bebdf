"""Recordings in real kernels: recorded once, a notebook replays without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from live_kernel import Kernel, Run, running_kernel
from private_home import private_environment

from aeron_magic.sandbox import Sandbox

pytestmark = pytest.mark.jupyter

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"
REPLAYS = int(os.environ.get("AERON_TEST_REPLAYS", "1"))
"""How often each shipped notebook is replayed; run ten before a release."""

LIVE = ("05-checks", "07-recovery")
"""They show changes and faults of the sandbox, which a replay does not ask."""

NO_NETWORK = """
import socket

def refuse(self, address, *rest):
    raise OSError("there is no network in this test")

socket.socket.connect = socket.socket.connect_ex = refuse
"""


@pytest.fixture
def connected(kernel: Kernel) -> Kernel:
    """The kernel, in which replays wait as the service did: under CI they do not."""
    kernel.execute("%env CI=", None)
    return kernel


def error_text(run: Run) -> str:
    """The text of a cell's error."""
    return "\n".join(run.of("error")[0].content["traceback"])


def requests_sent(sandbox: Sandbox) -> int:
    return len(sandbox.log.of("create-response"))


def test_a_recorded_question_streams_again_and_is_not_asked_again(
    connected: Kernel, sandbox: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "talk.jsonl"
    sandbox.set_faults(pause=0.005)
    connected.execute(f"%aeron record {file}", "c0")
    first = connected.execute("%%aeron\nHow do I ask?", "c1")
    assert requests_sent(sandbox) == 1
    line = file.read_bytes()
    assert b"hush" not in line
    assert b"apay_" not in line
    connected.execute(f"%aeron replay {file}", "c0")
    again = connected.execute("%%aeron\nHow do I ask?", "c1")
    assert again.outputs[-1]["data"] == first.outputs[-1]["data"]
    assert again.outputs[-1]["metadata"]["aeron_magic"]["replayed"] is True
    assert len(again.of("update_display_data")) > 2, "it streams as it did"
    assert requests_sent(sandbox) == 1
    assert file.read_bytes() == line


def test_a_question_that_is_not_recorded_fails_its_cell_and_shows_the_nearest(
    connected: Kernel, sandbox: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "talk.jsonl"
    connected.execute(f"%aeron record {file}", "c0")
    connected.execute("%%aeron\nHow do I ask?", "c1")
    connected.execute(f"%aeron replay {file}", "c0")
    run = connected.execute("%%aeron\nHow do I ask twice?", "c2")
    assert run.status == "error"
    shown = error_text(run)
    assert "- How do I ask?" in shown
    assert "+ How do I ask twice?" in shown
    other = connected.execute("%%aeron\nWhich day is it?", "c3")
    assert "It has no similar question." in error_text(other)
    assert requests_sent(sandbox) == 1


def test_a_misspelt_recording_has_a_suggestion(connected: Kernel, tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").touch()
    (tmp_path / "anwers.csv").touch()
    run = connected.execute(f"%aeron replay {tmp_path / 'anwers.jsonl'}", "c0")
    assert "Did you mean `answers.jsonl`?" in error_text(run)
    run = connected.execute(f"%aeron replay {tmp_path / 'other.jsonl'}", "c0")
    assert "Did you mean" not in error_text(run)
    new = "anwers.jsonl, 0 turns (new file; did you mean `answers.jsonl`?)"
    for line in (f"record {tmp_path / 'anwers.jsonl'}", "record", ""):
        assert new in connected.execute(f"%aeron {line}", "c0").text
    connected.execute("%%aeron\nHow do I ask?", "c1")
    assert "did you mean" not in connected.execute("%aeron record", "c0").text
    assert "did you mean" not in connected.execute(f"%aeron record {tmp_path}/b.jsonl", "c0").text


def test_earlier_questions_that_are_sent_again_are_named(
    connected: Kernel, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The service's token of them is another one than that of the replay, which is no fault."""
    file = tmp_path / "talk.jsonl"
    connected.execute(f"%aeron record {file}", "c0")
    connected.execute("%%aeron\nHow do I ask?", "c1")
    connected.execute(f"%aeron replay {file}", "c0")
    connected.execute("%%aeron -n\nHow do I ask?", "c1")
    connected.execute(f"%aeron record {file}", "c0")
    run = connected.execute("%%aeron\nShow an example", "c2")
    assert "[1 earlier question was sent again before this one" in run.text
    assert "The service says" not in run.text
    assert "elsewhere" not in connected.execute("%aeron history", "h").text
    assert requests_sent(sandbox) == 3
    run = connected.execute("%%aeron\nShow another one", "c3")
    assert "sent again before" not in run.text


def test_a_replay_does_not_ask_for_the_services_messages(
    connected: Kernel, sandbox: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "talk.jsonl"
    connected.execute(f"%aeron record {file}", "c0")
    connected.execute("%%aeron\nHow do I ask?", "c1")
    connected.execute(f"%aeron replay {file}", "c0")
    run = connected.execute("%aeron history --remote", "h")
    assert "A recording is replayed" in error_text(run)
    assert not sandbox.log.of("list-input")


def test_replay_needs_no_account(tmp_path: Path, sandbox: Sandbox, connected: Kernel) -> None:
    file = tmp_path / "talk.jsonl"
    connected.execute(f"%aeron record {file}", "c0")
    connected.execute("%%aeron\nHow do I ask?", "c1")
    with running_kernel(
        tmp_path / "other", AERON_RECORD=str(file), AERON_RECORD_MODE="replay"
    ) as k:
        run = k.execute("%load_ext aeron_magic", "c0")
        shown = error_text(k.execute("%%aeron\nSomething else", "c1"))
        assert "Unset AERON_RECORD_MODE and start again: the question is then sent" in shown
        run = k.execute("%%aeron -o r\nHow do I ask?", "c1")
        assert run.status == "ok"
        assert k.value("r.replayed") is True
        run = k.execute(f"%aeron record {file}", "c2")
        assert "Replaying, without the network (by AERON_RECORD_MODE)" in run.text
        run = k.execute("%%aeron\nSomething else", "c3")
        assert (
            f"Unset AERON_RECORD_MODE; `%aeron record {file}` then sends the question"
            in " ".join(error_text(run).split())
        )


def test_record_off_switches_recording_off(connected: Kernel, tmp_path: Path) -> None:
    """It is not a file name."""
    connected.execute(f"%aeron record {tmp_path / 'talk.jsonl'}", "c0")
    assert "recording: talk.jsonl, 0 turns" in connected.execute("%aeron", "c1").text
    for line in ("record off", "record OFF", "replay off"):
        assert connected.execute(f"%aeron {line}", "c1").text.strip() == "Recording is off."
    connected.execute("%%aeron\nHow do I ask?", "c2")
    assert [file.name for file in tmp_path.glob("*.jsonl")] == []


def test_a_misspelt_off_is_no_file(kernel: Kernel, tmp_path: Path) -> None:
    """With a dot or a folder, it is one; nothing is sent while the environment has it."""
    kernel.execute(f"%aeron record {tmp_path / 'talk.jsonl'}", "c0")
    for line in ("record of", "replay of", "record ofd"):
        assert "Did you mean `off`?" in error_text(kernel.execute(f"%aeron {line}", "c1"))
    assert "talk.jsonl" in kernel.execute("%aeron record", "c2").text
    assert kernel.execute("%aeron record ./of", "c1").status == "ok"
    assert kernel.execute("%aeron record off", "c1").text == "Recording is off."
    kernel.execute("%env AERON_RECORD=offf", None)
    kernel.execute("%reload_ext aeron_magic", None)
    assert "Did you mean `off`?" in error_text(kernel.execute("%%aeron\nHello", "c3"))
    assert [path.name for path in tmp_path.iterdir() if "of" in path.name] == []
    kernel.execute("import os; del os.environ['AERON_RECORD']", None)


def test_a_replay_has_the_same_metadata_each_time(
    connected: Kernel, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The recorded seconds, at any speed."""
    sandbox.set_faults(pause=0.02, say="one two three four five")
    connected.execute(f"%aeron record {tmp_path / 'talk.jsonl'}", "c0")
    connected.execute("%%aeron\nfirst", "c1")
    found = []
    for speed in (1, 0, 3):
        connected.execute(f"%config AeronMagics.replay_speed = {speed}", None)
        connected.execute(f"%aeron replay {tmp_path / 'talk.jsonl'}", "c0")
        found.append(connected.execute("%%aeron\nfirst", "c1").outputs[-1])
    connected.execute("%config AeronMagics.replay_speed = 1.0", None)
    assert found[0] == found[1] == found[2]
    assert found[0]["metadata"]["aeron_magic"]["seconds"] > 0.05


def test_a_question_is_found_with_other_line_ends(connected: Kernel, tmp_path: Path) -> None:
    """As where git has changed those of a notebook."""
    connected.execute(f"%aeron record {tmp_path / 'talk.jsonl'}", "c0")
    connected.execute("%%aeron\nfirst\nline", "c1")
    connected.execute(f"%aeron replay {tmp_path / 'talk.jsonl'}", "c0")
    ask = "get_ipython().run_cell_magic('aeron', '', 'first\\r\\nline')"
    assert connected.execute(ask, "c1").status == "ok"
    assert connected.execute("%%aeron\r\nfirst\r\nline\r\n", "c1").status == "ok"


@pytest.mark.parametrize("file", ["", "missing.jsonl"])
def test_the_mode_replay_without_a_recording_sends_nothing(
    connected: Kernel, sandbox: Sandbox, tmp_path: Path, file: str
) -> None:
    """Each question fails, until a recording is named; and recording cannot be switched off."""
    connected.execute(f"%aeron record {tmp_path / 'talk.jsonl'}", "c0")
    connected.execute("%%aeron\nfirst", "c1")
    before = requests_sent(sandbox)
    connected.execute("import os\n%unload_ext aeron_magic", None)
    connected.execute(f"context_token = None; os.environ['AERON_RECORD'] = {file!r}", None)
    connected.execute("os.environ['AERON_RECORD_MODE'] = 'replay'", None)
    connected.execute("%load_ext aeron_magic", "c0")
    for cell in (
        "%%aeron\nfirst",
        "%%aeron --each [1]\n{{row}}",
        "%aeron fetch a-token-of-some-reply",
    ):
        for _ in range(2):
            assert connected.execute(cell, "c1").of("error")[0].content["ename"] == "RecordingError"
    assert connected.execute("%aeron record off", "c1").status == "error"
    assert "recording:" in connected.execute("%aeron", "c1").text
    connected.execute(f"%aeron record {tmp_path / 'talk.jsonl'}", "c0")
    assert connected.execute("%%aeron\nfirst", "c1").status == "ok"
    assert requests_sent(sandbox) == before


def test_a_recording_in_a_folder_that_does_not_exist_is_an_error(
    connected: Kernel, tmp_path: Path
) -> None:
    """Such as a misspelt one; the state names the whole path of the file in use."""
    run = connected.execute("%aeron record nope/dir/x.jsonl", "c0")
    said = " ".join(error_text(run).split())
    assert f"does not exist: {tmp_path / 'nope' / 'dir'}" in said
    assert not (tmp_path / "nope").exists()
    assert "Recording is off" in connected.execute("%aeron record", "c1").text
    connected.execute("%aeron record x.jsonl", "c0")
    assert f"{tmp_path / 'x.jsonl'}, 0 turns" in connected.execute("%aeron record", "c1").text
    connected.execute("import os; os.makedirs('sub'); os.chdir('sub')", "c2")
    connected.execute("%%aeron\nfirst", "c3")
    assert (tmp_path / "x.jsonl").exists(), "a relative path is that of the line that named it"


def test_a_file_that_cannot_be_used_is_not_set(kernel: Kernel, tmp_path: Path) -> None:
    """Such as data that was named by mistake: later questions are asked without it."""
    data = tmp_path / "data.csv"
    data.write_text("text\nhello\n")
    for line in (f"%aeron record {data}", f"%aeron replay {data}", f"%aeron record {tmp_path}"):
        assert kernel.execute(line, None).status == "error"
        assert "Recording is off" in kernel.execute("%aeron record", None).text
    assert kernel.execute("%%aeron\nHello", None).status == "ok"
    assert data.read_text() == "text\nhello\n"


def nbval(
    folder: Path, recording: Path, mode: str, *notebooks: str
) -> subprocess.CompletedProcess[str]:
    """Run notebooks in ``folder`` and compare their outputs with the saved ones.

    Parameters
    ----------
    folder, notebooks
        Where the notebooks are, and their names.
    recording, mode
        As ``AERON_RECORD`` and ``AERON_RECORD_MODE``; with ``replay`` there is no network.
    """
    variables = {
        **private_environment(folder),
        "AERON_RECORD": str(recording),
        "AERON_RECORD_MODE": mode,
        "CI": "true",
    }
    if mode == "replay":
        (folder / "offline").mkdir(exist_ok=True)
        (folder / "offline" / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
        path = [str(folder / "offline"), variables.get("PYTHONPATH")]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *notebooks],
        env=variables,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "notebook", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: str(path.stem)
)
@pytest.mark.timeout(600)
def test_a_shipped_notebook_gives_its_outputs_and_replays_without_a_network(
    notebook: Path, tmp_path: Path
) -> None:
    """It has the committed outputs when it is recorded and when it is replayed.

    A notebook that is shipped with a recording is replayed from that one.
    """
    folder = shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    recording = folder / f"{notebook.stem}.jsonl"  # the name that a notebook's own recording has
    recording.unlink(missing_ok=True)
    first = nbval(folder, recording, "record", notebook.name)
    assert first.returncode == 0, first.stdout[-4000:]
    if notebook.stem in LIVE:
        return
    assert [line for line in recording.read_bytes().splitlines() if json.loads(line)["key"]]
    if (shipped := notebook.with_suffix(".jsonl")).exists():
        shutil.copy(shipped, recording)
    before = recording.read_bytes()
    copies = [
        shutil.copy(notebook, folder / f"copy{number}.ipynb").name for number in range(REPLAYS)
    ]
    again = nbval(folder, recording, "replay", *copies)
    assert again.returncode == 0, again.stdout[-4000:]
    assert recording.read_bytes() == before
