"""Tasks shared out over processes, which report back; knows nothing of what they do.

A process ends by itself when whoever started it is gone, even by kill -9. So a task should leave
whole files behind, and no process is orphaned.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

Work = Callable[[Sequence[Any]], Iterator[Any]]


def share_out(work: Work, tasks: Sequence[Any], workers: int) -> Iterator[Any]:
    """Do tasks in several processes.

    Closing the iterator ends the processes after the task in hand.

    Args:
        work: takes some of the tasks and yields a report for each; picklable.
        tasks: dealt out one by one.
        workers: how many processes.

    Yields:
        The reports, as they come.

    Raises:
        ValueError, ImportError, OSError: raised by the work in a process.
        RuntimeError: a process died of something else.
    """
    context = multiprocessing.get_context("spawn")  # a GL context does not survive a fork
    links, processes = [], []
    for index in range(workers):
        ours, theirs = context.Pipe(duplex=False)
        share = (work, tasks[index::workers], theirs)
        processes.append(context.Process(target=_do, args=share, daemon=True))
        processes[-1].start()
        theirs.close()
        links.append(ours)
    try:
        yield from _receive_reports(links)
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            raise RuntimeError("a process died; what is stored is whole: run the command again.")
    finally:
        for link in links:
            link.close()  # the process's next report fails, and it ends
        for process in processes:
            process.join(timeout=10)
            process.terminate()


def _receive_reports(links: list[Connection]) -> Iterator[Any]:
    """What the processes report, until each has hung up; their errors are raised here."""
    listening = list(links)
    while listening:
        for link in wait(listening):
            try:
                report = link.recv()
            except EOFError:
                listening.remove(link)
                continue
            if isinstance(report, Exception):
                raise report
            yield report


def _die_with_parent() -> None:
    """End at once when whoever started this process is gone, even by kill -9: a process that lives
    on would do again what the next command does.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _do(work: Work, tasks: Sequence[Any], link: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_die_with_parent, name="parent watch", daemon=True).start()
    try:
        for report in work(tasks):
            link.send(report)
    except BrokenPipeError:
        pass  # the parent is gone or wants no more
    except (ValueError, ImportError, OSError) as error:
        with contextlib.suppress(BrokenPipeError):  # another process was first
            link.send(error)  # the user's to mend: the parent says it once
