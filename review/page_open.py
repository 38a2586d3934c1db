"""Open a review: draw the sample, serve the page until it is stopped."""

import asyncio
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from safety_reasoning.builders.calls import Step
from safety_reasoning.builders.opinion import NOT_JUDGED, judge_reason
from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.builders.sources.load import load_sources
from safety_reasoning.builders.store import view_store
from safety_reasoning.errors import UsageError
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.review.marks_store import open_marks
from safety_reasoning.review.page_server import Session, Shown, application
from safety_reasoning.review.sample import KEPT, Choice, Drawn, draw


def sample_of(recipe: Recipe, choice: Choice, seen: Callable[[int], None]) -> dict[str, Drawn]:
    """The traces to read by their keys, in order; `seen` is told how many traces were looked at so far.

    Raises: UsageError if there is no store, nothing in it that was chosen, or no such teacher, step or reason.
    """
    _refuse_unknown(recipe, choice)
    samples = load_sources(recipe.sources).samples
    with view_store(Path(recipe.release.store)) as store:
        drawn = draw(recipe, samples, store, choice, seen)
    if not drawn:
        raise UsageError(
            "there is no trace to review",
            why="the store holds none that the recipe comes to, or --teacher, --step and --reason leave none",
            fix="look at what there is with `safety-reasoning traces status`, or choose less narrowly",
        )
    return {one.key: one for one in drawn}


def _refuse_unknown(recipe: Recipe, choice: Choice) -> None:
    """A name that is misspelt beside a right one would go unseen: the page has traces enough without it."""
    judged = (NOT_JUDGED, *map(judge_reason, recipe.judge.rubric)) if recipe.judge else ()
    known: tuple[tuple[str, frozenset[str], list[str]], ...] = (
        ("teacher", choice.teachers, [teacher.name for teacher in recipe.teachers]),
        ("step", choice.steps, [Step.FULL, Step.efficient(recipe.release.sentences)]),
        ("reason", choice.reasons, [KEPT, *Drop, *judged]),
    )
    for what, given, allowed in known:
        for name in sorted(given.difference(allowed)):
            raise UsageError(f"no trace of the recipe has the {what} {name!r}", fix=f"use {', '.join(allowed)}")


def serve(recipe: Recipe, traces: dict[str, Drawn], shown: Shown, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C or SIGTERM; `ready` is told the address, secret included.

    Raises: UsageError if the store cannot be written or the port is taken.
    """
    with open_marks(Path(recipe.release.store)) as marks:
        secret = secrets.token_urlsafe(24)
        session = Session(title=recipe.release.name, traces=traces, marks=marks, shown=shown, secret=secret)
        asyncio.run(_serve(session, port, ready))


async def _serve(session: Session, port: int, ready: Callable[[str], None]) -> None:
    runner = web.AppRunner(application(session), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    stopped = asyncio.Event()
    if sys.platform != "win32":  # which has no such handlers: Ctrl-C is an exception there
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready(f"http://127.0.0.1:{runner.addresses[0][1]}/#secret={session.secret}")
        await stopped.wait()
    except OSError as error:
        raise UsageError(
            f"port {port} cannot be listened on", why=str(error), fix="give another one with --port, or 0 for any"
        ) from error
    finally:
        await runner.cleanup()
