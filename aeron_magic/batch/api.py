"""``ask_many``, and the parts of it that ``%%aeron --each`` shares."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Never

from aeron_magic.batch.question import BatchConfig, BatchQuestion
from aeron_magic.batch.result import Row, check_names, result_of
from aeron_magic.batch.runner import BatchRun
from aeron_magic.client.client import make_question, validate_prompt
from aeron_magic.conversations.kept_rows import kept_beside
from aeron_magic.defaults import defaults
from aeron_magic.errors import (
    AeronError,
    Interrupted,
    RecordingError,
    ReplyFormatError,
    UsageError,
    invalid,
    is_safe_to_ask_again,
    unknown_argument,
    validate_count,
)
from aeron_magic.markdown_text import plural
from aeron_magic.progress import progress_bar
from aeron_magic.prompts.items import Items, items_of, render_prompts
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import Mode, Recorder
from aeron_magic.replies.columns import Columns
from aeron_magic.services.catalog import service_info
from aeron_magic.services.settings import Settings

if TYPE_CHECKING:
    from pydantic import BaseModel

    from aeron_magic.client.client import AsyncClient, Client

REPLACED = ("executor", "workers", "host")
"""Arguments of an earlier version, which ``dask`` replaces."""

REPLAYED = (
    "While a recording is replayed, only rows of the checkpoint are answered: `%aeron replay off` "
    "ends that; unset AERON_RECORD_MODE if it is set. In Python give a client that does not replay."
)
"""The hint for rows that a checkpoint does not have."""


def ask_many(
    prompts: Any,
    template: str | None = None,
    *,
    client: Client | AsyncClient | None = None,
    settings: Settings | None = None,
    after: str | None = None,
    images: Iterable[str] = (),
    stream: bool = True,
    columns: str | type[BaseModel] | None = None,
    concurrency: int = 8,
    rate: float | None = None,
    at_most: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    dask: Any = None,
    progress: bool | None = None,
    ask_again: bool = False,
    frame: bool = True,
    **unknown: Never,
) -> Any:
    """Ask one question per item, many at once.

    Items with the same question share one request; an item whose value is missing (None, NaN, NaT,
    NA, blank) fails without one. A failed row does not affect the others. Rows refused with 429
    (too many requests) are tried again after the others; 24 consecutive authentication or
    connection failures stop the batch.

    Parameters
    ----------
    prompts
        A list or another iterable, a Series, or a DataFrame of pandas, polars or any library that
        narwhals supports. Without a template the items are the questions.
    template
        The question, with ``{{row}}`` for the item or ``{{row.column}}`` for a DataFrame's column.
    client, settings
        A client, whose service and credentials are used, or settings. The default is the notebook's
        connection if there is one, else AeronPay with credentials from the environment.
    after
        A ``context_token``: each question continues from there. By default each starts a
        conversation.
    images, stream
        As for :meth:`aeron_magic.Client.ask`, for each question.
    columns
        The columns that are read from each reply: ``"mood: positive|negative, amount: number?"``
        with the types ``text``, ``number``, ``int``, ``bool``, ``date``, ``a|b|c`` (one of these)
        and ``[text]`` (a list), and ``?`` for a value that may be missing; or a pydantic model. A
        request for JSON is added to each question. A reply that does not fit has the status
        ``unfit``, an error that says why, and no values.
    concurrency
        How many questions may run at once, over all workers.
    rate
        Maximum requests per second over all workers, repeated requests and fetches included; None:
        no limit except the service's ``Retry-After``, which pauses all workers.
    at_most
        Maximum number of questions that may be asked, and charged; if more are needed, nothing is
        sent. None: no limit.
    checkpoint
        A recording file: recorded rows are replayed, without cost, and the others are added as
        they end. ``FILE.pending`` beside it keeps what was sent: after an interrupt or a crash the
        next run fetches replies whose token is known, and a row that may have been charged is
        ``incomplete``. If a file cannot be used, nothing more is sent. Where a recording is
        replayed, rows that are not in this one are not asked either.
    dask
        A ``distributed.Client`` (not an asynchronous one): its cluster's workers send the
        questions, as tasks. They need the same version of this package, and a way to the scheduler
        and the service only. They receive the credentials in memory, with each task.
    progress
        Whether to show a progress bar (tqdm); by default in a terminal and in an interactive
        notebook.
    ask_again
        Whether rows of an interrupted run that may have been charged are asked again. Rows that the
        checkpoint has are not, also unfit ones: delete their lines in the file before.
    frame
        Whether the result is a frame, or a list of :class:`Row` with :class:`~aeron_magic.Reply`
        objects.

    Returns
    -------
    DataFrame or list of Row
        A frame of the library of ``prompts``, with its columns and index; of pandas for a list,
        whose items are the column ``item``. Added are the requested columns and ``reply`` (text),
        ``status``, ``error`` (text), ``seconds`` and ``context_token``. For a list without pandas,
        and with ``frame=False``, a list of :class:`Row`.

    Raises
    ------
    Interrupted
        The user stopped it; its ``result`` is what would have been returned, including the rows
        that were not asked.
    RecordingError
        A recording is replayed, and does not contain all rows; its ``result`` is the same.
    UsageError
        An argument is invalid, no item gives a question, or more than ``at_most`` questions would
        be asked; nothing was sent.
    """
    for name in unknown:
        error = unknown_argument(ask_many, name)
        if name in REPLACED:
            error.hint = "`dask=` with a client of a Dask cluster replaces executor, workers, host."
        raise error
    _check(concurrency, rate, at_most, dask)
    if template is not None and not isinstance(template, str):
        raise invalid("template", template, "Give a text that contains {{row}}.")
    wanted = None if columns is None else Columns(columns)
    own, recorder, kept = defaults.target(client, settings)
    if checkpoint is not None:
        mode: Mode = "replay" if recorder is not None and recorder.mode == "replay" else "auto"
        recorder, kept = Recorder(Cassette(checkpoint), mode, speed=0, hint=REPLAYED), None
    items = items_of(prompts)
    if frame:
        check_names(items, wanted)
    question = make_question("a question", after, images, stream)
    config = BatchConfig(own, question, concurrency, rate, recorder, kept, ask_again, at_most, dask)
    instruction = wanted.instruction if wanted else ""
    validate = partial(validate_prompt, own)
    texts = render_prompts(items.values, template, {}, own.secrets, validate, instruction)
    shown = defaults.shows_progress(progress)
    rows, ended = run_batch(config, items, texts, wanted, show_progress=shown)
    result = result_of(rows, items, wanted) if frame else rows
    if ended is not None:
        ended.result = result
        raise ended
    return result


def _check(concurrency: int, rate: float | None, at_most: int | None, dask: Any) -> None:
    validate_count("concurrency", concurrency, 1, 10_000)
    if at_most is not None:
        validate_count("at_most", at_most)
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate < float("inf")):
        raise invalid("rate", rate, "Give a number of requests per second above 0.")
    client = hasattr(dask, "submit") and not getattr(dask, "asynchronous", True)
    if dask is not None and not (client and dask.status == "running"):
        raise invalid("dask", dask, "Give a distributed.Client, not asynchronous and not closed.")


def run_batch(
    config: BatchConfig,
    items: Items,
    texts: Sequence[str | AeronError],
    columns: Columns | None = None,
    *,
    show_progress: bool = False,
) -> tuple[list[Row], Interrupted | RecordingError | None]:
    """Run the batch; its rows, and the interrupt that ended it or why a replay lacks some.

    Raises
    ------
    UsageError
        More questions than ``at_most`` would be asked.
    """
    with open_batch(config, texts) as batch:
        if config.at_most is not None and batch.counts.to_ask > config.at_most:
            raise UsageError(
                f"More than {plural(config.at_most, 'request')} would be sent: {batch.counts}.",
                hint="Raise the limit, or give fewer rows. Nothing was sent.",
            )
        error: Interrupted | RecordingError | None = None
        try:
            with progress_bar(len(texts), show_progress, str(batch.counts)) as watch:
                batch.run(watch)
        except Interrupted as interrupt:
            error = interrupt
        found = zip(items.values, batch.rows, strict=True)
        rows = [_row(item, one, columns) for item, one in found]
    if error is None and config.recorder is not None:
        error = config.recorder.missing([row.error for row in rows])
    return rows, error


@contextmanager
def open_batch(config: BatchConfig, texts: Sequence[str | AeronError]) -> Iterator[BatchRun]:
    """A batch, before anything is sent; its ``counts`` say what it would do."""
    config.settings.validate(config.question)
    if config.question.context_token and not service_info(config.settings.service).branches:
        raise UsageError(
            "The service cannot branch: the rows cannot all continue from one turn.",
            hint="Leave out --after (in Python after=): each row starts a conversation.",
        )
    kept = config.kept or kept_beside(config.recorder)
    try:
        yield BatchRun(config._replace(kept=kept), texts)
    finally:
        unrecorded = config.recorder.warning() if config.recorder else ""
        if kept is not None:
            kept.close(recorded=not unrecorded)
        for warning in (unrecorded, kept.warning if kept else ""):
            if warning:
                warnings.warn(warning, stacklevel=2)


def _row(item: Any, one: BatchQuestion | AeronError, columns: Columns | None) -> Row:
    if isinstance(one, AeronError):
        return Row(item, None, "failed", one)
    if one.result is None:
        return Row(item)
    reply, error = one.result
    if reply is None:
        return Row(item, None, "failed", error, asked=one.is_sent)
    status, values = str(reply.status), {}
    if status == "failed" and error is not None and not is_safe_to_ask_again(error):
        status = "incomplete"  # it may have been charged
    if columns is not None and one.result.is_complete:
        try:
            values = columns.values(reply.text)
        except ReplyFormatError as unfit:
            status, error = "unfit", unfit.without_frames()
    return Row(item, reply, status, error, reply.seconds, values, one.is_sent)
