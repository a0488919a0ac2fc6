"""A start from anything: a picture, a clip, an episode or a recording. Any size, any shape.

    start, said = start_from(Path("holiday.jpg"), place, seed=0)

A picture is one frame of context. An episode brings its actions, and so does a clip of a published
data set; any other clip has none, so the world itself guesses them: of all actions, the one whose
imagined frame is nearest to the true one.
"""

import zipfile
from pathlib import Path

import cv2
import numpy as np

from worldsim.actions import ActionSet, load_actions, renumber
from worldsim.controls import list_actions, split_actions
from worldsim.data.picture import MOST_PIXELS, read_picture
from worldsim.data.video import open_capture
from worldsim.evaluate.metrics import psnr
from worldsim.runtime.core.moves import Start
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.told import join, tell
from worldsim.types import Episode

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
CLIPS = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".gif", ".m4v")
CONTEXT = 64  # frames of an episode that are given; what follows is its truth
CLIP_FRAMES = 24  # of a clip: its actions must be guessed
MOST_FRAMES = 20_000  # of a clip that are looked at
FAR = 6.0  # dB below the world's own starts: it has not seen such pictures
GUESSED = 8  # pairs of frames guessed at once
FITS = ("crop", "letterbox")


def start_from(path: Path, place: PlayableEnv, seed: int, fit: str = "crop") -> tuple[Start, str]:
    """Where a dream starts from a file.

    Args:
        path: a picture, a clip, an episode's or a published clip's file, or a recording's folder.
        place: a dream's.
        seed: of the noise.
        fit: "crop" cuts the longer side, "letterbox" keeps all of it between black bars.

    Returns:
        The start, and a sentence about it for the player.

    Raises:
        ValueError: it is none of them, is damaged, or the place is no dream.
    """
    if not place.dreams:
        raise ValueError(tell("An engine cannot start from a picture: play a dream (--world)."))
    assert fit in FITS
    if not path.exists():
        raise ValueError(tell("There is no {path} to start from.", path=path))
    size = place.base.world.card.frame_size
    name, kind = path.name, path.suffix.lower()
    published = _read_published_clip(path, place)
    if published is not None or path.is_dir() or kind == ".npz":
        start, said = _start_from_episode(published or _read_episode(path), place, seed, fit), ""
    elif kind in PICTURES:
        frames = fit_picture(_read_picture(path), size, fit)[None]
        start = _make_start(seed, name, frames, np.zeros(0, np.int64))
        said = ""
    elif kind in CLIPS:
        frames = _read_clip(path, size, fit, place.fps)
        start = _make_start(seed, name, frames, guess_actions(place, frames))
        said = tell("Its {count} actions are guesses.", count=len(frames) - 1)
    else:
        raise ValueError(
            tell(
                "{path} cannot be started from: give a picture ({pictures}), a clip ({clips}), an "
                "episode (.npz) or a recording's folder.",
                path=path,
                pictures=" ".join(PICTURES),
                clips=" ".join(CLIPS),
            )
        )
    sentences = (
        tell("Started from {name}.", name=name),
        said,
        describe_strangeness(place, start.context_frames[-1]),
    )
    return start, join(filter(None, sentences), by=" ")


def fit_picture(picture: np.ndarray, size: int, fit: str = "crop") -> np.ndarray:
    """A picture uint8 `[H,W,3]` as a square of `size` pixels."""
    height, width = picture.shape[:2]
    if (height, width) == (size, size):
        return np.ascontiguousarray(picture)
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = picture[top : top + side, left : left + side]
        return _resize(square, size, size)
    scale = size / max(height, width)
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    framed = np.zeros((size, size, 3), np.uint8)
    top, left = (size - tall) // 2, (size - wide) // 2
    framed[top : top + tall, left : left + wide] = _resize(picture, wide, tall)
    return framed


def describe_strangeness(place: PlayableEnv, frame: np.ndarray) -> str:
    """A sentence where a frame is far from what the world has seen; empty where it is not.

    The codec says so: what it never learnt, it cannot show.
    """
    world = place.base.world
    if not hasattr(world, "codec"):
        return ""
    known = [spawn.frames[-1] for spawn in world.spawns]
    decibels = _measure_reconstruction(world, np.stack([frame, *known]))
    usual = float(np.median(decibels[1:])) if known else None
    if usual is None or decibels[0] > usual - FAR:
        return ""
    return tell(
        "It is far from what {world} has seen: it can be shown at {decibels:.0f} dB only, its own "
        "starts at {usual:.0f}.",
        world=world.card.name,
        decibels=decibels[0],
        usual=usual,
    )


def guess_actions(place: PlayableEnv, frames: np.ndarray) -> np.ndarray:
    """The actions `[T-1]` between frames uint8 `[T,H,W,3]`, as the world itself sees them.

    From every frame all actions are imagined, and the one that comes nearest to the next is taken.
    """
    world, count = place.base.world, len(place.actions)
    guessed = []
    for at in range(0, len(frames) - 1, GUESSED):
        now, after = frames[at : at + GUESSED], frames[at + 1 : at + 1 + GUESSED]
        now = now[: len(after)]
        none = np.zeros((len(now), 0), np.int64)
        state = world.reset(now[:, None], none, [0] * len(now))
        state = state.select(np.repeat(np.arange(len(now)), count).tolist())
        _, imagined = world.step(state, np.tile(np.arange(count), len(now)))
        near = psnr(imagined, np.repeat(after, count, axis=0)).reshape(len(now), count)
        guessed += near.argmax(axis=1).tolist()
    return np.array(guessed, np.int64)


def _make_start(seed: int, name: str, frames: np.ndarray, actions: np.ndarray) -> Start:
    return Start(seed=seed, options={"from": name}, context_frames=frames, context_actions=actions)


def _start_from_episode(episode: Episode, place: PlayableEnv, seed: int, fit: str) -> Start:
    """The first frames as context, the rest as the truth to come."""
    meta, actions = episode.meta, _renumber_actions(episode, place.actions)
    size = place.base.world.card.frame_size
    frames = np.stack([fit_picture(frame, size, fit) for frame in episode.frames])
    given = min(CONTEXT, (len(frames) + 1) // 2)
    options = {"from": meta.source}
    if meta.world is None and meta.seed is not None:
        options |= {"engine": meta.source, "engine_seed": meta.seed}
    led = list_actions(actions, episode.controls)
    ids, controls = split_actions(led[: given - 1], place.actions)
    return Start(
        seed=seed,
        options=options,
        context_frames=frames[:given],
        context_actions=ids,
        context_controls=controls,
        future=(frames[given - 1 :], led[given - 1 :]),
    )


def _renumber_actions(episode: Episode, ours: ActionSet) -> np.ndarray:
    """An episode's actions as this world numbers them."""
    name = episode.meta.action_set
    try:
        return renumber(episode.actions, load_actions(name), ours)
    except ValueError as error:
        raise ValueError(
            tell(
                "The episode has the actions {name}, this world has {ours}: give an episode of "
                "this kind of world.",
                name=name,
                ours=ours.name,
            )
        ) from error


def _read_published_clip(path: Path, place: PlayableEnv) -> Episode | None:
    """A clip of the published data set that has this world's actions; None where it is none."""
    from worldsim.data.published.formats import LAYOUTS
    from worldsim.data.published.teco import read_clip

    names = (layout for layout in LAYOUTS.values() if place.actions.name in layout.exported)
    layout, kind = next(names, None), path.suffix.lower()
    holds = "video" if kind == ".npz" else "actions"
    if layout is None or kind not in (".npz", ".mp4"):
        return None
    if not _has_array(path.with_suffix(".npz"), holds):
        return None
    return read_clip(path, layout)


def _has_array(path: Path, name: str) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return f"{name}.npy" in file.namelist()
    except Exception:  # whatever is wrong with it, the reader of episodes says it
        return False


def _read_episode(path: Path) -> Episode:
    from worldsim.data.store import read_episode
    from worldsim.runtime.recording.recording import read_recording

    return read_recording(path).episode if path.is_dir() else read_episode(path)


def _read_picture(path: Path) -> np.ndarray:
    image = read_picture(path)
    if image is None:
        raise ValueError(tell("{path} is not a picture that can be read.", path=path))
    return image


def _read_clip(path: Path, size: int, fit: str, fps: float) -> np.ndarray:
    """Frames at the world's pace, the first ones of the clip: uint8 `[T,size,size,3]`."""
    with open_capture(path, (b"GIF8",)) as video:
        theirs = video.get(cv2.CAP_PROP_FPS) or fps
        pixels = video.get(cv2.CAP_PROP_FRAME_WIDTH) * video.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if pixels > MOST_PIXELS:
            raise ValueError(
                tell(
                    "{path} has {count:.0f} megapixels a frame: make it smaller.",
                    path=path,
                    count=pixels / 1e6,
                )
            )
        every = max(1.0, theirs / fps)
        frames: list[np.ndarray] = []
        for number in range(MOST_FRAMES):
            wanted = number >= round(len(frames) * every)
            read, image = video.read() if wanted else (video.grab(), None)
            if not read or len(frames) == CLIP_FRAMES:
                break
            if image is not None:
                frames.append(fit_picture(image[..., ::-1], size, fit))
    if not frames:
        raise ValueError(tell("{path} is not a clip that can be read.", path=path))
    return np.stack(frames)


def _resize(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    smaller = picture.shape[0] > height
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=way)


def _measure_reconstruction(world, frames: np.ndarray) -> np.ndarray:
    return psnr(world.reconstruct(frames), frames)
