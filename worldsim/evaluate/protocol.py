"""The numbers of an evaluation: how many episodes, how long, which horizons. Plain data, no torch.

The published protocol (TECO, arXiv 2210.02396): episodes of 300 frames, of which 144 are given and
156 are predicted under the true actions.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is measured; counts in frames where nothing else is said.

    Attributes:
        episodes: held-out episodes a dream starts from.
        context: true frames a dream is given.
        predicted: frames it then dreams under the true actions.
        horizons: which of the predicted are listed one by one, counted from 1.
        sheet: frames on the contact sheet; 0 is the last true one.
        walker: kind of the walker that plays them; None for the one that plays as the published
            data was made, where the engine has one.
        batch: dreams in one batch.
        steps: sampler steps a frame; None for the world's own number.
        probe_episodes: training episodes that the probe of actions learns from.
        probe_steps: their length in actions.
        probe_epochs: how often it sees them.
        forks: dreams from each start under random actions.
        follow: their length.
        away: length of the way out and back.
        long: length of the runs that show drift.
        long_rows: how many of them under each kind of keys.
        block: frames in one entry of a time series.
        split: range of seeds whose episodes are dreamt.
        aged: dreams whose realism is judged at the age `long`, under random keys.
        late: their last frames, that are judged.
        seconds: dreams that are dreamt once more with another seed.
        places: starts of dreams from which one leaves and comes back.
        rounds: batches that the classifier of real and dreamt learns on.
        returns: moves after which one comes back by their inverses.
        lpips: file of torchvision's AlexNet or VGG-16; None to leave LPIPS out.
        walks: moves of long loops, and of long ways there and back.
        told: true frames after the context whose likelihood is measured.
        revisits: frames after which a place is seen again.
    """

    episodes: int = 16
    context: int = 144
    predicted: int = 156
    horizons: tuple[int, ...] = (1, 16, 64, 156)
    sheet: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 32, 64, 100, 156)
    walker: str | None = None
    batch: int = 8
    steps: int | None = None
    probe_episodes: int = 48
    probe_steps: int = 100
    probe_epochs: int = 4
    forks: int = 3
    follow: int = 16
    away: int = 64
    long: int = 1000
    long_rows: int = 4
    block: int = 100
    split: str = "heldout"
    aged: int = 6
    late: int = 48
    seconds: int = 8
    places: int = 2
    rounds: int = 500
    returns: tuple[int, ...] = (16, 64, 256)
    lpips: str | None = None
    walks: tuple[int, ...] = (16, 64, 256, 1024)
    told: int = 48
    revisits: tuple[int, ...] = (100, 1000)

    def __post_init__(self):
        for name in ("episodes", "long", "batch", "context", "predicted"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}.")


def quick(steps: int | None = None) -> Protocol:
    """A protocol of seconds that goes through everything; its figures mean little."""
    return Protocol(
        episodes=2,
        context=12,
        predicted=16,
        horizons=(1, 16),
        sheet=(0, 1, 2, 4, 8, 16),
        steps=steps,
        probe_episodes=4,
        probe_steps=40,
        probe_epochs=2,
        forks=1,
        follow=6,
        away=32,
        long=40,
        long_rows=1,
        block=20,
        aged=2,
        late=8,
        seconds=1,
        places=1,
        rounds=20,
        returns=(4,),
        walks=(24,),
        revisits=(30,),
        told=4,
    )
