"""Tasks shared out over processes, which report back; knows nothing of what they do.

Tasks are dealt one by one, each to whoever is free, and what a process had in hand when it died is
dealt again. So a task should leave whole files behind and do no harm when it is done twice. The
processes are this machine's, or a cluster's (ray_crew.py). One of this machine ends by itself when
whoever started it is gone, even by kill -9: no process is orphaned.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

Work = Callable[[Iterable[Any]], Generator[Any]]
MOST_DEATHS = 3  # of processes that had the same task in hand
AGAIN = "what is stored is whole: run the command again."
UNEXPECTED = f"a process ended by an error that its own output tells; {AGAIN}"
THE_USERS = (ValueError, ImportError, OSError)  # to mend: said once, by the parent


class ProcessDied(Exception):
    """A process ended without a report."""


class Hand(Protocol):
    """A process that does one task at a time."""

    def give(self, task: Any) -> None:
        """Let it do a task; it has none."""

    def take_report(self) -> Any:
        """What it says of its task, which may be an exception.

        Raises:
            ProcessDied: it is gone.
        """

    def end(self) -> None:
        """No more tasks: it ends, after the one in hand."""


class Crew(Protocol):
    """Where processes come from."""

    def hire(self, work: Work) -> Any:
        """A new process that does `work`, a Hand."""

    def wait(self, hands: Sequence[Any]) -> Sequence[Any]:
        """Those of its hands that have something to say, once there is one."""

    def close(self) -> None:
        """End what is left."""


def share_out(
    work: Work, tasks: Sequence[Any], workers: int, crew: Crew | None = None
) -> Iterator[Any]:
    """Do tasks in several processes.

    Closing the iterator ends the processes after the task in hand.

    Args:
        work: takes tasks and yields a report for each before it takes the next; picklable.
        tasks: dealt out one by one.
        workers: how many processes.
        crew: where they come from; None for this machine.

    Yields:
        The reports, as they come.

    Raises:
        ValueError, ImportError, OSError: raised by the work in a process.
        RuntimeError: a task was in hand of several processes that died, or the work failed of
            something else.
    """
    crew = LocalCrew() if crew is None else crew
    try:
        yield from _deal(work, deque(enumerate(tasks)), workers, crew)
    finally:
        crew.close()


def _deal(work: Work, todo: deque[tuple[int, Any]], workers: int, crew: Crew) -> Iterator[Any]:
    busy: dict[Any, tuple[int, Any]] = {}
    deaths: Counter[int] = Counter()

    def deal(hand: Any) -> None:
        if not todo:
            hand.end()
            return
        busy[hand] = todo.popleft()
        hand.give(busy[hand][1])

    for _ in range(min(workers, len(todo))):
        deal(crew.hire(work))
    while busy:
        for hand in crew.wait(list(busy)):
            dealt = busy.pop(hand)
            try:
                report = hand.take_report()
            except ProcessDied as death:
                hand.end()
                todo.appendleft(dealt)
                deaths[dealt[0]] += 1
                if deaths[dealt[0]] == MOST_DEATHS:
                    what = f"a process died {MOST_DEATHS} times over the same task ({death})"
                    raise RuntimeError(f"{what}; {AGAIN}") from death
                deal(crew.hire(work))
                continue
            if isinstance(report, Exception):
                raise report
            deal(hand)
            yield report


class LocalCrew:
    """Processes of this machine."""

    def __init__(self) -> None:
        self._hands: list[LocalHand] = []

    def hire(self, work: Work) -> "LocalHand":
        """A new process."""
        self._hands.append(LocalHand(work))
        return self._hands[-1]

    def wait(self, hands: Sequence["LocalHand"]) -> list["LocalHand"]:
        """Those that have reported, or are gone."""
        links = {hand.link: hand for hand in hands}
        return [links[link] for link in wait(list(links))]  # type: ignore[index]

    def close(self) -> None:
        """End all processes after the task in hand."""
        for hand in self._hands:
            hand.end()
        for hand in self._hands:
            hand.process.join(timeout=10)
            hand.process.terminate()


class LocalHand:
    """A process of this machine, and the link to it."""

    def __init__(self, work: Work) -> None:
        context = multiprocessing.get_context("spawn")  # a GL context does not survive a fork
        self.link, theirs = context.Pipe()
        self.process = context.Process(target=_do, args=(work, theirs), daemon=True)
        self.process.start()
        theirs.close()  # the process has its own: only so its end is noticed

    def give(self, task: Any) -> None:
        """Send a task; that the process is gone is noticed when its report is taken."""
        with contextlib.suppress(OSError):
            self.link.send(task)

    def take_report(self) -> Any:
        """Its report; raises as `Hand` says."""
        try:
            return self.link.recv()
        except (EOFError, OSError) as error:
            self.process.join(timeout=10)
            raise ProcessDied(f"exit status {self.process.exitcode}") from error

    def end(self) -> None:
        """Hang up: the process ends when it asks for its next task, or reports."""
        self.link.close()


def _do(work: Work, link: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_die_with_parent, name="parent watch", daemon=True).start()
    try:
        for report in work(_receive_tasks(link)):
            link.send(report)
    except BrokenPipeError:
        pass  # the parent is gone or wants no more
    except Exception as error:
        with contextlib.suppress(BrokenPipeError):  # another process was first
            link.send(tell_error(error))


def _receive_tasks(link: Connection) -> Iterator[Any]:
    while True:
        try:
            yield link.recv()
        except (EOFError, OSError):
            return  # the parent has no more, or is gone


def _die_with_parent() -> None:
    """End at once when whoever started this process is gone, even by kill -9: a process that lives
    on would do again what the next command does.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def tell_error(error: Exception) -> Exception:
    """What the parent raises for an error in a process; one of ours is printed here."""
    if isinstance(error, THE_USERS):
        return error
    traceback.print_exception(error)
    return RuntimeError(UNEXPECTED)
