"""Plays the episodes of `worldsim rollout` (rollout_command.py) and records each; prints
nothing.
"""

import functools
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.actions import ActionSet
from worldsim.controls import is_control, read_action
from worldsim.data.workers import Crew, share_out
from worldsim.runtime.core.clock import Clock
from worldsim.runtime.core.control import Choice, Controller, RandomWalk, Script, choose_taken
from worldsim.runtime.core.moves import Move
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.playthrough import Playthrough
from worldsim.runtime.recording.recorder import Recorder
from worldsim.runtime.recording.rollout_record import ROLLOUT, KnownParts, read_recorded_seeds
from worldsim.tasks import load_function


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to play.

    Attributes:
        env: a Gymnasium id.
        options: JSON-able arguments of the environment.
        policy: "random", "script" or "module:function".
        script: names of actions, taken over and over by the policy "script".
        steps: actions an episode has at most.
        folder: where recordings go.
    """

    env: str
    policy: str
    steps: int
    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    script: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What makes an episode of a seed and a world the one it is; a recording's meta says it."""
        return {"policy": self.policy, "steps": self.steps, "script": list(self.script)}


class Calls(Controller):
    """A function that chooses; see rollout.py for how it is called. One that returns None waits."""

    name = "policy"

    def __init__(self, function: Callable, seed: int) -> None:
        self._function = function
        self._rng = np.random.default_rng(seed)
        self._actions: ActionSet | None = None

    def meet(self, actions: ActionSet) -> None:
        """Take the world's action table, which the function is given."""
        self._actions = actions

    def choose(self, frame: np.ndarray) -> Choice | None:
        """What the function returns.

        Raises:
            ValueError: that is no action.
        """
        chosen = self._function(frame.copy(), self._actions, self._rng)
        if chosen is None:
            return None
        if is_control(chosen):
            return choose_taken(read_action(list(chosen)), self._actions)
        known = isinstance(chosen, str)
        return Choice(action=self._actions.id(chosen) if known else self._actions.valid(chosen))


def controller(plan: Plan, actions: ActionSet, seed: int) -> Controller:
    """Who drives an episode.

    Raises:
        ValueError: there is no such policy.
    """
    if plan.policy == "random":
        return RandomWalk(seed)
    if plan.policy == "script":
        if not plan.script:
            raise ValueError(
                f"--policy script needs --actions, of {', '.join(actions.names)}: "
                f"e.g. --actions {actions.names[0]}."
            )
        return Script(itertools.cycle([actions.id(name) for name in plan.script]))
    return Calls(_load_policy(plan.policy), seed)


def _load_policy(policy: str) -> Callable:
    if ":" not in policy:
        raise ValueError(f"--policy must be random, script or module:function, got {policy!r}.")
    return load_function(policy, "--policy")


def roll_out(
    plan: Plan, seeds: tuple[int, ...], workers: int = 1, crew: Crew | None = None
) -> Iterator[int]:
    """Play and record one episode for each seed, those left out that the folder has already.

    Yields:
        The number of frames of each episode once it is a recording on the disk; 0 for one that was
        there.

    Raises:
        ValueError: no such environment, policy or action.
        OSError: the disk is full, or the folder cannot be written to.
        RuntimeError: workers died over the same episode.
    """
    if crew is None and min(workers, len(seeds)) <= 1:
        return _play_all(plan, seeds)
    return share_out(functools.partial(_play_all, plan), seeds, workers, crew)


def _play_all(plan: Plan, seeds: Iterable[int]) -> Generator[int]:
    import gymnasium

    import worldsim  # noqa: F401  registers the environments

    try:
        env = gymnasium.make(plan.env, disable_env_checker=True, **plan.options)
    except gymnasium.error.Error as error:
        raise ValueError(f"--env {plan.env}: {error}") from error
    place = PlayableEnv(env, plan.env, plan.options)
    # Nobody waits for a frame, so none need be dropped: an episode has room to wait in the queue.
    recorder = Recorder(plan.folder, on=True, capacity=plan.steps + 8)
    recorder.describe(place, place.fps, **{ROLLOUT: plan.as_json()})
    try:
        known: KnownParts = {}
        for seed in seeds:
            # Now, and not of all seeds before: another worker may have died over this one.
            told = plan.folder, plan.as_json(), place.identity, {seed}, known
            yield 0 if read_recorded_seeds(*told) else _play(plan, place, recorder, seed)
            if recorder.trouble:
                raise OSError(recorder.trouble)
    finally:
        recorder.close()
        env.close()


def _play(plan: Plan, place: PlayableEnv, recorder: Recorder, seed: int) -> int:
    driver = controller(plan, place.actions, seed)
    driver.meet(place.actions)
    playthrough = Playthrough(place, place.start(seed), [recorder], Clock())
    while playthrough.made < plan.steps and not playthrough.ended:
        choice = driver.choose(playthrough.frame)
        if choice is None:
            break
        playthrough.make(Move(choice.action, place.steps, place.noise, choice.control))
    recorder.close()  # the recording is on the disk when the episode counts as played
    return playthrough.made + 1
