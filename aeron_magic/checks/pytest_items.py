"""The tests that the pytest plug-in makes of a ``.chat.md`` file.

The turns of a conversation are asked in their order, each once, whichever of them are selected.
With pytest-xdist, the turns of a conversation can run in several processes: these share their
answers in a temporary folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from aeron_magic.checks.chat_file import read_chat
from aeron_magic.checks.journal import Journal
from aeron_magic.checks.plan import PlannedRun, Planner, Source, read_text
from aeron_magic.checks.report import CheckResult, result_of
from aeron_magic.checks.running import CheckAsker
from aeron_magic.client.client import AsyncClient
from aeron_magic.client.io_loop import IOLoop
from aeron_magic.errors import AeronError, RecordingError, UsageError, ValueRefused
from aeron_magic.markdown_text import truncate
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.prompts.interpolation import MARKS
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.near_file import suggest_file
from aeron_magic.recording.recorder import Recorder
from aeron_magic.rendering.differences import differences
from aeron_magic.services.catalog import SERVICES
from aeron_magic.services.settings import (
    Settings,
    any_credentials,
    refuse_in_replay,
    resolve_settings,
)
from aeron_magic.session.connection import ConnectionManager

SANDBOX = "sandbox"
NAMES = (SANDBOX, *SERVICES)
"""The values of ``--aeron``."""

ID_LENGTH = 40
"""Characters of the question in the id of a test."""

HANDBOOK = "The sandbox answered from its handbook; --aeron-answers FILE names another file."

WAIT = 600.0
"""Seconds to wait for another process that asks the turns of the same conversation."""


class CheckSession:
    """What all checks of a run of pytest share: the service, and the answers of other processes."""

    def __init__(self, config: pytest.Config) -> None:
        self.loop = IOLoop()
        config.add_cleanup(self.loop.stop)
        self._connections = ConnectionManager(self.loop)
        config.add_cleanup(self._connections.close)
        recorder = None
        if file := config.getoption("--aeron-replay"):
            recorder = Recorder(Cassette(file), "replay", speed=0)
        self._settings = self._connected(config, recorder)
        is_sandbox = config.getoption("--aeron") == SANDBOX and recorder is None
        self.uses_handbook = is_sandbox and config.getoption("--aeron-answers") is None
        self._planners: dict[Path, Planner] = {}
        self.client = AsyncClient(settings=self._settings, recorder=recorder)
        config.add_cleanup(lambda: self.loop.run(self.client.close()))
        folder = getattr(config, "workerinput", {}).get("aeron_answers")
        self._folder = None if folder is None or recorder is not None else Path(folder)

    def planner(self, test: pytest.Item) -> Planner:
        """The planner of the test's folder: the nearest conftest.py has the last word."""
        folder = test.path.parent
        if folder not in self._planners:
            values: dict[str, Any] = {}
            for found in reversed(test.ihook.pytest_aeron_values()):
                if not isinstance(found, Mapping):
                    raise UsageError(
                        f"pytest_aeron_values in conftest.py returned {type(found).__name__}.",
                        hint="Return a dictionary of values and functions by name.",
                    )
                values.update(found)
            self._planners[folder] = Planner(self._settings, values)
        return self._planners[folder]

    def _connected(self, config: pytest.Config, recorder: Recorder | None) -> Settings:
        service, answers = config.getoption("--aeron"), config.getoption("--aeron-answers")
        if recorder is not None:
            return _recorded_settings(recorder, service)
        if service == SANDBOX:
            return self._connections.connect_sandbox(answers=answers).settings
        refuse_in_replay()
        return resolve_settings(service)

    def journal(self, run: PlannedRun) -> Journal | nullcontext[None]:
        """The answers of the conversation in other processes; locked until it is closed."""
        if self._folder is None:
            return nullcontext()
        path = self._folder / f"{run.turns[0].key}.jsonl"
        return Journal(path, wait=WAIT, keep_failures=True)


def _recorded_settings(recorder: Recorder, service: str | None) -> Settings:
    """The settings under which the recording has been made; nothing is sent with them."""
    recorded = next((record.service for record in recorder.store), "")
    name, _, agent = recorded.partition("/")
    if not name:
        raise RecordingError(
            f"The recording {recorder.store.path} does not exist or is empty.",
            hint=f"{suggest_file(recorder.store.path)}Record the conversation first, with "
            f"`%aeron record {recorder.store.argument}`.",
        )
    wanted = {SANDBOX: name}.get(service or name, service or name)
    return resolve_settings(wanted, **any_credentials(wanted, agent))


_session = pytest.StashKey[CheckSession]()


def _session_of(config: pytest.Config) -> CheckSession:
    if _session not in config.stash:
        config.stash[_session] = CheckSession(config)
    return config.stash[_session]


class ChatFile(pytest.File):
    def collect(self) -> Iterator[TurnItem]:
        """Yield a test for each turn, for each repeat."""
        repeats = self.config.getoption("--aeron-repeat")
        if not 1 <= repeats <= 1_000:
            raise self.CollectError("--aeron-repeat needs a whole number from 1 to 1,000")
        service = self.config.getoption("--aeron")
        if service not in (None, *NAMES):
            raise self.CollectError(f"--aeron must be one of {', '.join(NAMES)}")
        try:
            turns = read_chat(read_text(self.path), self.nodeid)
        except UsageError as error:
            if not _has_service(self.config):  # the file may have nothing to do with checks
                pytest.skip(f"no check: {error.message}", allow_module_level=True)
            raise self.CollectError("\n".join(error.lines())) from None
        source = Source(self.nodeid, turns)
        for repeat in range(1, repeats + 1):
            conversation = Conversation(source, repeat)
            for index, turn in enumerate(turns):
                name = f"{turn.number}-{_slug(turn.question)}"
                if repeats > 1:
                    name += f"[{repeat}]"
                yield TurnItem.from_parent(self, name=name, conversation=conversation, index=index)


def _has_service(config: pytest.Config) -> bool:
    return bool(config.getoption("--aeron") or config.getoption("--aeron-replay"))


def _slug(question: str) -> str:
    words = "-".join(re.findall(rf"[\w{MARKS}]+", question.lower()))
    return truncate(words, ID_LENGTH).rstrip("-…")


class Conversation:
    """One repeat of a file; its questions are made with the first test that needs them."""

    def __init__(self, source: Source, repeat: int) -> None:
        self._source = source
        self._repeat = repeat
        self._run: PlannedRun | None = None

    def result(self, session: CheckSession, test: pytest.Item, index: int) -> CheckResult:
        """Ask a turn, and those before it, unless that was done."""
        if self._run is None:
            try:
                self._run = session.planner(test).run(self._source, self._repeat)
            except ValueRefused as error:
                error.hint = f"Values come from `pytest_aeron_values` in conftest.py. {error.hint}"
                raise
        run = self._run
        if index not in run.answers:
            with session.journal(run) as journal:
                answer = CheckAsker(session.client, journal).answer(run, index)
                session.loop.run(answer)
        return result_of(run, run.turns[index], run.answers[index])


class CheckNotPassed(Exception):
    """The answer of a turn has not passed."""


class TurnItem(pytest.Item):
    """The check of one turn."""

    def __init__(self, *, conversation: Conversation, index: int, **rest: Any) -> None:
        super().__init__(**rest)
        self._conversation = conversation
        self._index = index

    def runtest(self) -> None:
        if not _has_service(self.config):
            pytest.skip(f"no service: add --aeron {'|'.join(NAMES)} or --aeron-replay FILE")
        result = self._conversation.result(_session_of(self.config), self, self._index)
        if result.result == "not asked":
            pytest.skip(strip_control_sequences(f"not asked: {result.reason}"))
        if result.result != "passed":
            handbook = _session_of(self.config).uses_handbook and result.result != "error"
            raise CheckNotPassed(_explained(result) + f"\n{HANDBOOK}" * handbook)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What the answer lacks, without a traceback."""
        if isinstance(excinfo.value, CheckNotPassed):
            return str(excinfo.value)
        if isinstance(excinfo.value, AeronError):
            return "\n".join(excinfo.value.lines())
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The file, and the heading in a report."""
        return self.path, None, self.name


def _explained(result: CheckResult) -> str:
    """What is not as expected, for a terminal."""
    lines = [f"{result.result}: {result.reason}", "", f"question:  {result.question}"]
    compared = result.reference is not None and result.result != "error"
    marked = differences(result.reference or "", result.reply) if compared else None
    if marked is not None and not marked.equal:
        lines += [f"reference: {marked.plain_before}", f"answer:    {marked.plain_after}"]
    elif result.reply:
        lines.append(f"answer:    {result.reply}")
    return strip_control_sequences("\n".join(lines))
