"""What a check asks: the conversations of files, once for each row and repeat."""

from __future__ import annotations

import glob
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from aeron_magic.checks.chat_file import SUFFIX, CheckedTurn, read_chat
from aeron_magic.checks.regex_process import RegexProcess
from aeron_magic.checks.rules import Judge, Rule, judge_for
from aeron_magic.client.client import make_question
from aeron_magic.errors import UsageError, ValueRefused
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.prompts.interpolation import interpolate, placeholders_in
from aeron_magic.prompts.items import items_of
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.near_file import suggest_file
from aeron_magic.recording.record import UNRECORDED_PARENT, Record, turn_key
from aeron_magic.replies.reply import Reply
from aeron_magic.services.settings import Settings

MAX_SIZE = 32 << 20
"""Bytes of a file."""

MAX_ANSWERS = 200_000
"""Questions of one check, all rows and repeats included."""


STOPPED = "the check was stopped before"
"""Why a turn was not asked after an interrupt."""


class Source(NamedTuple):
    """A conversation of a file.

    ``recorded``: it is from a recording, so its texts have no placeholders. ``damage`` names the
    lines of the file that cannot be read.
    """

    name: str
    turns: tuple[CheckedTurn, ...]
    recorded: bool = False
    damage: str = ""


class PlannedTurn(NamedTuple):
    """A question with the values of its row.

    ``key`` identifies it in a journal. ``skipped`` is why it is not asked; empty if it is.
    """

    number: int
    question: str
    images: tuple[str, ...]
    parent: int | None
    reference: str | None
    judges: tuple[tuple[Rule, Judge], ...]
    key: str
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question: a complete reply, or the reason why there is none.

    ``asked``: whether it was asked; ``partial``: the text of an incomplete reply.
    """

    reply: Reply | None = None
    reason: str = ""
    asked: bool = True
    partial: str = ""


@dataclass(slots=True)
class PlannedRun:
    """A conversation, once, and the answers so far by index.

    ``row`` is the label of its row, and None without a table.
    """

    conversation: str
    repeat: int
    row: object
    turns: tuple[PlannedTurn, ...]
    answers: dict[int, Answer] = field(default_factory=dict)


def find_files(names: Iterable[str]) -> list[Path]:
    """The files of names and patterns such as ``checks/*.chat.md``, each once.

    Raises UsageError: a name or a pattern has no file.
    """
    found: dict[Path, Path] = {}
    for name in names:
        try:
            path = Path(name).expanduser()
            files = [path]
            if not path.is_file():
                pattern = str(path)  # it may be absolute, which Path.glob refuses
                files = sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207
            files = [file for file in files if file.is_file()]
            for file in files:
                found.setdefault(file.resolve(), file)
        except (OSError, RuntimeError, ValueError):  # such as no home, or a NUL
            files = []
        if not files:
            raise UsageError(
                f"There is no file {name[:200]}.",
                hint=f"{suggest_file(Path(name))}Name recordings, or .chat.md files: "
                "`%aeron export NAME.chat.md` writes one.",
            )
    return list(found.values())


def read_file(path: Path) -> list[Source]:
    """The conversations of a ``.chat.md`` file or of a recording.

    Raises UsageError or RecordingError: the file is neither, or cannot be read.
    """
    name = path.as_posix()
    if path.name.endswith(SUFFIX):
        return [Source(name, read_chat(read_text(path), name))]
    if path.suffix == ".jsonl":
        return _recorded(path, name)
    raise UsageError(
        f"{name} is neither a {SUFFIX} file nor a recording (.jsonl).",
        hint="`%aeron export NAME.chat.md` writes the current conversation as a file to check.",
    )


def read_text(path: Path) -> str:
    """The text of a file, without control sequences."""
    try:
        if not path.is_file():
            raise ValueError("it is not a file")
        if path.stat().st_size > MAX_SIZE:
            raise ValueError(f"it has more than {MAX_SIZE >> 20} MiB")
        return strip_control_sequences(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.",
            hint="Check the path, its permissions and its encoding, which must be UTF-8.",
        ) from None


def _recorded(path: Path, name: str) -> list[Source]:
    """The conversations of a recording; its turns are numbered in the order of the file."""
    from aeron_magic.session.recordings import damage_note

    cassette = Cassette(path)
    conversations: list[list[CheckedTurn]] = []
    places: dict[str, tuple[list[CheckedTurn], int]] = {}
    for number, record in enumerate(cassette, 1):
        turns, parent = places.get(record.parent_key, ([], None))
        turn = CheckedTurn(number, record.question, parent, record.text, images=record.images)
        if not turns:
            conversations.append(turns)
        places[record.key] = (turns, len(turns))
        service = record.service.partition("/")[0]
        turns.append(turn._replace(service=service, skipped=_why_not(record, parent)))
    damage = damage_note(cassette).removeprefix("; ")
    if not conversations:
        raise UsageError(
            f"{name} contains no turn to check{damage and f'; {damage}'}.",
            hint=f"Record it first, with `%aeron record {cassette.argument}`.",
        )
    return [Source(name, tuple(turns), True, damage) for turns in conversations]


def _why_not(record: Record, parent: int | None) -> str:
    if record.parent_key == UNRECORDED_PARENT or (record.parent_key and parent is None):
        return "the recording does not contain the beginning of its conversation"
    return "" if record.is_complete else "its recorded reply is incomplete"


def references_of(path: Path) -> dict[tuple[str, ...], str]:
    """The replies of a recording, by the questions that lead to them."""
    found: dict[tuple[str, ...], str] = {}
    for source in _recorded(path, path.as_posix()):
        paths: list[tuple[str, ...]] = []
        for turn in source.turns:
            before = () if turn.parent is None else paths[turn.parent]
            paths.append((*before, turn.question))
            if not turn.skipped:
                found[paths[-1]] = turn.reference or ""
    return found


def _names_row(text: str) -> bool:
    return any(one.name == "row" for one in placeholders_in(text))


class Planner:
    """Makes the runs of a check.

    * ``settings``: the service that is asked.
    * ``values``: the values of placeholders, and the functions of ``python:``, by name.
    * ``references``: reference replies by the questions that lead to them, instead of those of the
      files.
    """

    def __init__(
        self,
        settings: Settings,
        values: Mapping[str, Any],
        references: Mapping[tuple[str, ...], str] | None = None,
    ) -> None:
        self._settings = settings
        self._values = dict(values)
        self._references = references
        self._judges: dict[Rule, Judge] = {}
        self._regexes = RegexProcess()

    def runs(
        self, sources: Sequence[Source], repeat: int = 1, table: Any = None
    ) -> list[PlannedRun]:
        """One run for each conversation, row and repeat.

        Raises UsageError: a question, a rule or the table is invalid; a recording lacks a
        reference. Raises ValueRefused: a placeholder has no value; with a table such a row is not
        asked instead.
        """
        rows = [({}, None)] if table is None else self._rows(sources, table)
        count = repeat * len(rows) * sum(len(source.turns) for source in sources)
        if count > MAX_ANSWERS:
            raise UsageError(
                f"This check would ask {count:,} questions; the limit is {MAX_ANSWERS:,}.",
                hint="Check fewer files, rows or repeats.",
            )
        runs = []
        for source in sources:
            for names, label in rows:
                for number in range(1, repeat + 1):
                    runs.append(self.run(source, number, names, label))
        return runs

    def _rows(self, sources: Sequence[Source], table: Any) -> list[tuple[dict[str, Any], Any]]:
        for source in sources:
            texts = [turn.question for turn in source.turns if not source.recorded]
            if not any(map(_names_row, texts)):
                raise UsageError(
                    f"No question of {source.name} mentions {{{{row}}}}: it would be the same for "
                    "each row.",
                    hint="Write {{row.column}} for a value of the table.",
                )
        items = items_of(table)
        if not items.values:
            raise UsageError("The table has no row.", hint="A check needs at least one question.")
        labels = items.labels
        try:
            known = set(map(repr, labels))
            list(map(str, labels))  # as the report shows them
        except Exception:  # noqa: BLE001 - the label's own code
            known = set()
        if len(known) < len(labels):
            labels = range(len(labels))
        return [({"row": item}, label) for item, label in zip(items.values, labels, strict=True)]

    def run(
        self,
        source: Source,
        repeat: int,
        row_names: dict[str, Any] | None = None,
        row: object = None,
    ) -> PlannedRun:
        """One conversation with the values of one row."""
        names = ChainMap(row_names or {}, self._values)
        turns: list[PlannedTurn] = []
        paths: list[tuple[str, ...]] = []
        for turn in source.turns:
            parent = None if turn.parent is None else turns[turn.parent]
            try:
                planned = self._turn(source, turn, names, f"{source.name} {row!r} {repeat}", parent)
            except ValueRefused as error:
                if row is None:
                    raise
                planned = PlannedTurn(turn.number, turn.question, (), turn.parent, None, (), "")
                planned = planned._replace(skipped=error.message)
            path = (*(() if turn.parent is None else paths[turn.parent]), planned.question)
            paths.append(path)
            if self._references is not None and not planned.skipped:
                planned = self._with_reference(source, turn, planned, path)
            turns.append(planned)
        return PlannedRun(source.name, repeat, row, tuple(turns))

    def _turn(
        self,
        source: Source,
        turn: CheckedTurn,
        names: Mapping[str, Any],
        run: str,
        parent: PlannedTurn | None,
    ) -> PlannedTurn:
        def filled(text: str, line: int) -> str:
            if source.recorded or "{{" not in text:
                return text
            try:
                return interpolate(text, names, secrets=self._settings.secrets, required="row")
            except ValueRefused as error:
                error.message = f"{source.name}, turn at line {line}: {error.message}"
                raise

        text = filled(turn.question, turn.line)
        question = make_question(text, None, turn.images)
        try:
            self._settings.validate(question)
        except ValueRefused as error:
            error.message = f"{source.name}, turn at line {turn.line}: {error.message}"
            raise
        reference = None if turn.reference is None else filled(turn.reference, turn.line)
        judges = []
        for rule in turn.rules:
            rule = rule._replace(argument=filled(rule.argument, rule.line))
            if rule not in self._judges:
                try:
                    self._judges[rule] = judge_for(rule, self._values, self._regexes)
                except UsageError as error:
                    where = f"{source.name}, line {rule.line}"
                    raise UsageError(f"{where}: {error.message}", hint=error.hint) from None
            judges.append((rule, self._judges[rule]))
        skipped = turn.skipped
        if turn.service not in ("", self._settings.service):
            skipped = f"it was recorded for another service ({turn.service})"
        scope = f"{self._settings.conversation_scope} {run}"
        key = turn_key(scope, text, question.images, parent.key if parent else "")
        return PlannedTurn(
            turn.number,
            text,
            question.images,
            turn.parent,
            reference,
            tuple(judges),
            key,
            skipped,
        )

    def _with_reference(
        self, source: Source, turn: CheckedTurn, planned: PlannedTurn, path: tuple[str, ...]
    ) -> PlannedTurn:
        assert self._references is not None
        reference = self._references.get(path)
        if reference is not None:
            return planned._replace(reference=reference)
        if any(rule.keyword == "same" for rule, _ in planned.judges):
            raise UsageError(
                f"{source.name}, turn {turn.number}: the recording of `--against` does not contain "
                "this question after the questions before it.",
                hint="Record this conversation in it, or state in a block `expect` what must hold.",
            )
        return planned
