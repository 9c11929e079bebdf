"""``check``, and what ``%aeron check`` shares with it."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aeron_magic.checks.journal import Journal
from aeron_magic.checks.plan import (
    PlannedRun,
    Planner,
    Source,
    find_files,
    read_file,
    references_of,
)
from aeron_magic.checks.report import CheckResult, frame_of, results_of
from aeron_magic.checks.running import CONCURRENCY, LOST, CheckAsker, count_turns
from aeron_magic.client.client import AsyncClient
from aeron_magic.client.io_loop import IOLoop, wait_for
from aeron_magic.defaults import defaults
from aeron_magic.errors import HistoryError, Interrupted, UsageError, invalid, validate_count
from aeron_magic.markdown_text import one_line, plural
from aeron_magic.progress import progress_bar
from aeron_magic.services.settings import Settings

if TYPE_CHECKING:
    from aeron_magic.client.client import Client
    from aeron_magic.recording.recorder import Recorder

MAX_REPEATS = 1_000
MAX_CONCURRENCY = 10_000


def check(
    *files: str | Path,
    repeat: int = 1,
    each: Any = None,
    against: str | Path | None = None,
    values: Mapping[str, Any] | None = None,
    client: Client | AsyncClient | None = None,
    at_most: int | None = None,
    concurrency: int = CONCURRENCY,
    progress: bool | None = None,
) -> Any:
    """Ask the questions of files again, and judge the answers.

    The turns of a file are asked in order, in a conversation of their own; a turn whose predecessor
    was not answered is not asked. After an interrupt or a crash, the next check of the same files
    asks only what is missing; a check that has ended asks everything again.

    Parameters
    ----------
    files
        ``.chat.md`` files or recordings (``.jsonl``); also patterns such as ``checks/*.chat.md``.
    repeat
        How often each conversation is held (1), each time in a conversation of its own.
    each
        A list, Series or DataFrame: each conversation is held once per row, with ``{{row}}`` or
        ``{{row.column}}`` for its values.
    against
        A recording: its replies are the references, instead of those in the files.
    values
        The values of other placeholders, and the functions of ``python:`` rules, by name.
    client
        Whose service and credentials are used. The default is the notebook's connection if there
        is one, else AeronPay with credentials from the environment. A recorder that only replays
        is used, too; any other is not, since a check asks.
    at_most
        Nothing is sent if more questions than this would have to be asked.
    concurrency
        How many conversations may run at once (4).
    progress
        Whether to show a progress bar; by default in a terminal and in an interactive notebook.

    Returns
    -------
    pandas.DataFrame or list of dict
        One row for each turn and repeat: ``conversation``, ``turn``, ``repeat``, ``result``
        (``passed``, ``changed``, ``failed``, ``error`` or ``not asked``), ``reason`` and ``reply``;
        with ``each`` also ``row``. Without pandas, a list of dictionaries.

    Raises
    ------
    UsageError
        A file, a rule or an argument is invalid, or ``at_most`` is exceeded; nothing was sent.
    Interrupted
        The user stopped it; its ``result`` is what would have been returned.
    """
    validate_count("concurrency", concurrency, 1, MAX_CONCURRENCY)
    if not isinstance(values, Mapping | None):
        raise invalid("values", values, "Give a dictionary of values and functions by name.")
    settings, recorder, _ = defaults.target(client)
    request = CheckRequest(
        tuple(str(file) for file in files), repeat, each, None if against is None else str(against)
    )
    plan = plan_check(request, settings, values or {})
    shown = defaults.shows_progress(progress)
    with open_journal(settings, recorder, plan.files) as journal:
        refuse_above(at_most, count_turns(plan.runs, journal).to_ask)
        try:
            results = run_check(
                plan.runs, settings, recorder, journal, concurrency, show_progress=shown
            )
        except Interrupted as interrupted:
            interrupted.result = frame_of(results_of(plan.runs), with_row=each is not None)
            raise
    return frame_of(results, with_row=each is not None)


class CheckRequest(NamedTuple):
    """What to check; the fields are arguments of :func:`check`."""

    files: tuple[str, ...]
    repeat: int = 1
    each: Any = None
    against: str | None = None


class CheckPlan(NamedTuple):
    """The conversations of a check; ``damage`` names what cannot be read of recordings."""

    files: tuple[Path, ...]
    runs: list[PlannedRun]
    damage: str


def plan_check(request: CheckRequest, settings: Settings, values: Mapping[str, Any]) -> CheckPlan:
    """Read the files and make the questions; for what it raises see :func:`check`."""
    validate_count("repeat", request.repeat, 1, MAX_REPEATS)
    if not request.files:
        raise UsageError("No file to check.", hint="Name .chat.md files or recordings.")
    references = None
    if request.against is not None:
        (path,) = find_files([request.against])[:1]
        references = references_of(path)
    files = tuple(find_files(request.files))
    sources: list[Source] = [source for file in files for source in read_file(file)]
    damage = dict.fromkeys(f"{one.name}: {one.damage}" for one in sources if one.damage)
    planner = Planner(settings, values, references)
    return CheckPlan(files, planner.runs(sources, request.repeat, request.each), "; ".join(damage))


def refuse_above(at_most: int | None, count: int) -> None:
    """Raise a UsageError if more questions than ``at_most`` would be asked."""
    if at_most is not None:
        validate_count("at_most", at_most)
    if at_most is not None and count > at_most:
        raise UsageError(
            f"This check would ask {plural(count, 'question')}; the limit is {at_most:,}.",
            hint="Raise the limit, or check fewer files, rows or repeats.",
        )


def open_journal(
    settings: Settings, recorder: Recorder | None, files: Iterable[Path], history: str = ""
) -> Journal | nullcontext[None]:
    """The journal of a check of these files; none if nothing is asked or nothing may be stored.

    ``history`` is the configured history, as for ``history_path``.
    """
    from platformdirs import user_data_path

    from aeron_magic.conversations.history_db import history_path

    if recorder is not None and recorder.mode == "replay":
        return nullcontext()
    try:
        if history_path(history) is None:
            return nullcontext()
        names = [settings.conversation_scope, *sorted(str(file.resolve()) for file in files)]
        digest = hashlib.sha256("\n".join(names).encode(errors="replace")).hexdigest()[:24]
        folder = user_data_path("aeron-magic", appauthor=False) / "checks"
        return Journal(folder / f"{digest}.jsonl")
    except (OSError, RuntimeError, HistoryError):  # RuntimeError: the user has no home
        return nullcontext()


def run_check(
    runs: Sequence[PlannedRun],
    settings: Settings,
    recorder: Recorder | None,
    journal: Journal | None,
    concurrency: int = CONCURRENCY,
    *,
    show_progress: bool = False,
) -> list[CheckResult]:
    """Ask the questions of ``runs``, put the answers into them, and judge these.

    The journal keeps the answers until they are judged, since a function of the user's can be
    interrupted.

    Raises
    ------
    Interrupted
        The user stopped it; the answers so far are in the runs.
    """
    replaying = None
    if recorder is not None and recorder.mode == "replay":
        replaying = copy.copy(recorder)
        replaying.speed = 0
    total = sum(len(run.turns) for run in runs)
    loop, client = IOLoop(), AsyncClient(settings=settings, recorder=replaying)
    asker = CheckAsker(client, journal)

    async def ask_all() -> None:
        try:
            await asker.answer_all(runs, concurrency)
        finally:
            await client.close()

    work = loop.submit(ask_all())
    try:
        with progress_bar(total, show_progress, unit="turn") as watch:
            wait_for(work, lambda: watch(sum(len(run.answers) for run in runs)))
            watch(total)
    except (KeyboardInterrupt, CancelledError):
        asker.stop()
        hint = "What was answered is kept: run it again to ask only the rest."
        if journal is None:
            hint = "Nothing of it is kept: the next check asks everything again."
        elif asker.unkept:
            hint = f"The next check may ask again what was answered: {asker.unkept}."
        raise Interrupted("The check was stopped.", hint=hint) from None
    finally:
        loop.stop()
    results = results_of(runs)
    answers = [answer for run in runs for answer in run.answers.values()]
    left = bool(asker.stopped) and any(answer.reason == asker.stopped for answer in answers)
    if journal is not None and not left:
        lost = any(answer.reason == LOST for answer in answers)
        # Else the next check asks what has failed, once, and what is behind a lost reply, and
        # fetches what could not be fetched now.
        ended = journal.resumed and not lost and not journal.open
        if ended or all(answer.reply is not None or not answer.asked for answer in answers):
            journal.discard()
        elif asker.unkept:
            why = one_line(asker.unkept)
            warnings.warn(f"{why}; the next check may ask it again.", stacklevel=3)
    return results
