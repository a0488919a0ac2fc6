"""Processes of a cluster for share_out: Ray's, on as many machines as it has.

    ray start --head                              # on one machine
    ray start --address HEAD:6379                 # on each of the others
    worldsim collect --cluster auto ... --out /shared/data/maze

Every machine has the same worldsim installed and the same folder mounted. A process or a machine
that is lost is replaced where there is room. This is the only place that imports Ray.
"""

import argparse
import logging
import os
import platform
from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from worldsim.data.workers import ProcessDied, Work, tell_error

LOCAL = "local"  # a cluster of this machine alone, for a trial
PATIENCE = 10.0  # seconds that a task in hand may take when no more is wanted


def add_cluster_option(parser: argparse.ArgumentParser) -> None:
    """--cluster, as every command has it that shares out work."""
    told = "share out over Ray's cluster: its address, auto, or local (default: this machine alone)"
    parser.add_argument("--cluster", metavar="ADDRESS", help=told)


class RayCrew:
    """Processes of a cluster, of one CPU each.

    Args:
        address: of the cluster, "auto" for the one of this machine, "local" for a new one.
        folder: what the processes write to; must be there, on all machines.
        gpus: of each process; a part of one is shared.

    Raises:
        ImportError: Ray is not installed.
        ValueError: there is no such cluster.
    """

    def __init__(self, address: str, folder: Path, gpus: float = 0.0) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of its use
        try:
            import ray
            import ray.exceptions
        except ImportError as error:
            raise ImportError("--cluster needs Ray: pip install 'worldsim[cluster]'") from error
        self._ray, self._folder = ray, folder
        options = {"include_dashboard": False} if address == LOCAL else {"address": address}
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"there is no Ray cluster at {address} ({str(error).splitlines()[0]:.100}): start "
                f"one with `ray start --head`"
            ) from error
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0)(Worker)
        self._gpus = gpus
        self._hands: list[RayHand] = []

    def count_room(self) -> int:
        """How many processes the cluster has room for.

        Raises:
            ValueError: for none.
        """
        there = self._ray.cluster_resources()
        room = int(there.get("CPU", 0))
        if self._gpus:
            room = min(room, int(there.get("GPU", 0) / self._gpus))
        if room < 1:
            raise ValueError(f"the cluster has no room for a process: it has {there}")
        return room

    def hire(self, work: Work) -> "RayHand":
        """A new process."""
        self._hands.append(RayHand(self._ray, self._actor.remote(work, self._folder)))
        return self._hands[-1]

    def wait(self, hands: Sequence["RayHand"]) -> list["RayHand"]:
        """One that has reported, or is gone."""
        answers = {hand.answer: hand for hand in hands}
        ready, _ = self._ray.wait(list(answers))
        return [answers[answer] for answer in ready]

    def close(self) -> None:
        """End all processes after the task in hand, and leave the cluster."""
        for hand in self._hands:
            hand.end()
        ended = [hand.answer for hand in self._hands]
        if ended:
            self._ray.wait(ended, num_returns=len(ended), timeout=PATIENCE)
        self._ray.shutdown()


class RayHand:
    """A process of a cluster, and its answer to come."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor, self._ends = ray, actor, False
        self.answer: Any = None

    def give(self, task: Any) -> None:
        """Let it do a task."""
        self.answer = self._actor.do.remote(task)

    def take_report(self) -> Any:
        """Its report; raises as `Hand` says."""
        try:
            return self._ray.get(self.answer)
        except self._ray.exceptions.RayActorError as error:
            raise ProcessDied(str(error).splitlines()[0]) from error

    def end(self) -> None:
        """No more tasks: let it close what it has opened."""
        if not self._ends:
            self.answer, self._ends = self._actor.close.remote(), True


class Worker:
    """Work that is given its tasks one at a time. Runs in a process of the cluster."""

    def __init__(self, work: Work, folder: Path) -> None:
        self._given: deque[Any] = deque()
        self._reports = work(self._take_tasks())
        self._folder = folder

    def _take_tasks(self) -> Generator[Any]:
        while True:
            yield self._given.popleft()

    def do(self, task: Any) -> Any:
        """The report of a task, or what went wrong."""
        if not self._folder.is_dir():
            return ValueError(
                f"{self._folder} is not there on {platform.node()}: give a folder that all "
                f"machines of the cluster share"
            )
        self._given.append(task)
        try:
            return next(self._reports)
        except Exception as error:
            return tell_error(error)

    def close(self) -> None:
        """Close what the work has opened."""
        self._reports.close()


def open_crew(address: str | None, folder: Path, gpus: float = 0.0) -> RayCrew | None:
    """What --cluster asks for; None for this machine. Makes the folder that work is written to."""
    if address is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return RayCrew(address, folder.absolute(), gpus)


def count_workers(asked: int | None, crew: RayCrew | None, default: int) -> int:
    """How many processes: as many as were asked for, or all that a cluster has room for.

    Raises:
        ValueError: it has not so much room.
    """
    if crew is None:
        return asked or default
    room = crew.count_room()
    if asked and asked > room:
        raise ValueError(f"--workers must be in [1, {room}], the cluster's room, got {asked}")
    return asked or room
