"""The states of a session, and the commands that each of them takes."""

import enum


class State(enum.Enum):
    """What the session is doing."""

    WARMUP = "warming up"
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    REWINDING = "rewinding"
    CHOOSING = "choosing"
    CLOSED = "closed"


# What can be done before the world is where it is seen; in every other state, everything.
AWAY = {State.WARMUP: (), State.REWINDING: ("new_start", "same_start", "load")}
