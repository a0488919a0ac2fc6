"""What one player may ask of a server, and all of them together."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds; what lies beyond one is refused in a sentence.

    Attributes:
        players: sessions in memory.
        batch: dreams that one step of the network makes frames for.
        pace: frames a second of one session.
        queue: steps that a session may be ahead of its frames, and frames ahead of its connection.
        message: bytes of a message from a client.
        idle: seconds after which a connection that asks for nothing is closed, and a session
            without a connection leaves the memory.
        kept: sessions on the disk; the oldest make room.
    """

    players: int = 16
    batch: int = 16
    pace: float = 15.0
    queue: int = 4
    message: int = 4096
    idle: float = 300.0
    kept: int = 256
