"""``ask_many``, and the parts of it that ``%%aeron --each`` shares."""

from __future__ import annotations

import os
import warnings
from collections import ChainMap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from aeron_magic.batch.items import Items, Row, items_of, result_of
from aeron_magic.batch.progress import progress_bar
from aeron_magic.batch.runner import BatchConfig, BatchRun
from aeron_magic.batch.worker import RowResult
from aeron_magic.client.client import make_question
from aeron_magic.conversations.kept_rows import KeptRows
from aeron_magic.defaults import defaults
from aeron_magic.errors import AeronError, Interrupted, UsageError
from aeron_magic.prompts.interpolation import interpolate
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import Recorder
from aeron_magic.services.settings import Settings, resolve_settings

if TYPE_CHECKING:
    from aeron_magic.client.client import AsyncClient, Client


def ask_many(
    prompts: Any,
    template: str | None = None,
    *,
    client: Client | AsyncClient | None = None,
    settings: Settings | None = None,
    after: str | None = None,
    images: Iterable[str] = (),
    stream: bool = True,
    concurrency: int = 8,
    rate: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    dask: Any = None,
    progress: bool | None = None,
    ask_again: bool = False,
    **removed: Any,
) -> Any:
    """Ask one question per item, many at once.

    Each question starts a conversation: with AeronPay one *Create Response*, and *Fetch Response*
    if its stream is lost. A failed row does not affect the others. Rows refused with 429 (too many
    requests) are tried again after the others; 24 consecutive authentication or connection
    failures stop the batch.

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
        A ``context_token``: each question continues from there.
    images
        http(s) addresses of images that are sent with each question.
    stream
        Whether replies are read chunk by chunk; then a reply whose connection is lost can be
        fetched.
    concurrency
        How many questions may run at once, over all workers (8).
    rate
        Maximum requests per second over all workers, repeated requests and fetches included; None:
        no limit except the service's ``Retry-After``, which pauses all workers.
    checkpoint
        A recording file: recorded rows are replayed, without cost, and the others are added as
        they end. Rows with the same question then share one reply. Beside it, ``FILE.pending``
        keeps what was sent: after an interrupt or a crash the next run fetches replies whose token
        is known, and a row that may have been charged is ``incomplete`` and not asked again. If the
        file cannot be read or written, nothing more is sent, and the rows have that error.
    dask
        A ``distributed.Client`` (not an asynchronous one): its cluster's workers send the
        questions, as tasks. They need the same version of this package, and a way to the scheduler
        and the service only. They receive the credentials in memory, with each task.
    progress
        Whether to show a progress bar (tqdm); by default in a terminal and in an interactive
        notebook.
    ask_again
        Whether rows of an interrupted run that may have been charged are asked again (False).

    Returns
    -------
    pandas.DataFrame or list of Row
        One row per item, in order, with ``item``, ``reply`` (a :class:`~aeron_magic.Reply`),
        ``status``, ``error`` and ``seconds``, and with the index of ``prompts``; without pandas, a
        list with the same fields.

    Raises
    ------
    Interrupted
        The user stopped it; its ``result`` is what would have been returned, including the rows
        that were not asked.
    UsageError
        An argument is invalid, or no item gives a question; nothing was sent.
    """
    _check(concurrency, rate, dask, removed)
    own, recorder, kept = _resolve_target(client, settings)
    if checkpoint is not None:
        recorder, kept = Recorder(Cassette(checkpoint), "auto", speed=0), None
    items = items_of(prompts)
    config = BatchConfig(
        own,
        make_question("a question", after, images, stream),
        concurrency,
        rate,
        recorder,
        kept,
        ask_again,
        dask=dask,
    )
    texts = render_prompts(items.values, template, {}, own.secrets)
    show_progress = defaults.show_progress() if progress is None else progress
    try:
        rows = run_batch(config, items, texts, show_progress=show_progress)
    except Interrupted as interrupted:
        interrupted.result = result_of(interrupted.result, items.index)
        raise
    return result_of(rows, items.index)


def _resolve_target(
    client: Client | AsyncClient | None, settings: Settings | None
) -> tuple[Settings, Recorder | None, KeptRows | None]:
    if client is not None:
        return client.settings, client.recorder, None
    if settings is not None:
        return settings, None, None
    if defaults.connection is not None:
        return defaults.connection()
    return resolve_settings(), None, None


def _check(concurrency: int, rate: float | None, dask: Any, removed: dict[str, Any]) -> None:
    for name in removed:
        raise UsageError(
            f"ask_many has no argument {name!r}.",
            hint="`dask=` with a client of a Dask cluster replaces executor, workers and host.",
        )
    if not (isinstance(concurrency, int) and 1 <= concurrency <= 10_000):
        raise UsageError(
            f"Invalid concurrency: {concurrency!r}.", hint="Give a whole number from 1 to 10,000."
        )
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate < float("inf")):
        raise UsageError(
            f"Invalid rate: {rate!r}.", hint="Give a number of requests per second above 0."
        )
    if dask is not None and getattr(dask, "asynchronous", True):
        raise UsageError(
            f"Invalid dask: {type(dask).__name__}.",
            hint="Give a distributed.Client that is not asynchronous.",
        )


def render_prompts(
    items: Sequence[Any],
    template: str | None,
    namespace: dict[str, Any],
    secrets: Iterable[str],
) -> list[str | AeronError]:
    """The question of each item, or the error that made it impossible to build.

    Raises
    ------
    AeronError
        The first error, if no item gives a question.
    """
    texts: list[str | AeronError] = []
    secrets = tuple(secrets)
    for item in items:
        try:
            texts.append(make_question(_text(item, template, namespace, secrets)).text)
        except AeronError as error:
            error.__traceback__ = error.__cause__ = error.__context__ = None
            texts.append(error)
    errors = [text for text in texts if isinstance(text, AeronError)]
    if errors and len(errors) == len(texts):
        raise errors[0]
    return texts


def _text(item: Any, template: str | None, namespace: dict[str, Any], secrets: Any) -> str:
    if template is not None:
        return interpolate(template, ChainMap({"row": item}, namespace), secrets=secrets)
    if isinstance(item, str):
        return item
    raise UsageError(
        f"Expected a question (str) as item, not {type(item).__name__}.",
        hint="Give a template, such as ask_many(items, 'Classify: {{row.text}}').",
    )


def run_batch(
    config: BatchConfig,
    items: Items,
    texts: Sequence[str | AeronError],
    *,
    show_progress: bool = False,
) -> list[Row]:
    """Run the batch and return its rows.

    Raises
    ------
    Interrupted
        Its ``result`` is the list of rows so far.
    """
    recorder, kept = config.recorder, config.kept
    store = recorder.store if recorder is not None and recorder.mode == "auto" else None
    if kept is None and isinstance(store, Cassette):
        kept = KeptRows(store.path.with_name(store.path.name + ".pending"), pending=True)
        config = config._replace(kept=kept)
    try:
        batch = BatchRun(config, texts)
        with progress_bar(len(texts), show_progress) as watch:
            batch.run(watch)
    except Interrupted as interrupted:
        interrupted.result = _rows(items, batch.results)
        raise
    finally:
        if kept is not None:
            kept.close()
        for source in (recorder.warning() if recorder else "", kept.warning if kept else ""):
            if source:
                warnings.warn(source, stacklevel=2)
    return _rows(items, batch.results)


def _rows(items: Items, results: Sequence[RowResult | None]) -> list[Row]:
    return [_row(item, one) for item, one in zip(items.values, results, strict=True)]


def _row(item: Any, result: RowResult | None) -> Row:
    if result is None:
        return Row(item)
    if result.reply is None:
        return Row(item, None, "failed", result.error)
    return Row(item, result.reply, result.reply.status, result.error, result.reply.seconds)
