"""A recording as a file to show around: GIF, WebP, mp4, a contact sheet, a page that plays it.

All but mp4 need nothing more than the library; mp4 needs PyAV: pip install 'worldsim[video]'.
A file appears whole or not at all.
"""

import base64
import json
import math
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from worldsim.runtime.recording.recording import Recording

SIDE = 320  # pixels that pictures are enlarged to, by a whole number
LOSSLESS = [cv2.IMWRITE_WEBP_QUALITY, 101]  # above 100 means so
SHEET_FRAMES, SHEET_COLUMNS, GAP, CAPTION = 48, 8, 4, 14


def export(recording: Recording, path: Path, zoom: int | None = None) -> None:
    """Write a recording to a file of the kind its suffix says.

    Args:
        recording: what to write.
        path: ends in .gif, .webp, .mp4, .png or .html.
        zoom: pixels a pixel; None for a comfortable size.

    Raises:
        ValueError: another suffix, or what it needs is not installed.
        OSError: it cannot be written.
    """
    kinds: dict[str, Callable[[Recording, Path, int], None]] = {
        ".gif": _write_animation,
        ".webp": _write_animation,
        ".mp4": _write_video,
        ".png": _write_sheet,
        ".html": _write_page,
    }
    write = kinds.get(path.suffix.lower())
    if write is None:
        raise ValueError(f"{path} must end in one of {', '.join(kinds)}.")
    zoom = zoom or max(1, SIDE // max(recording.episode.frames.shape[1:3]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
        scratch = Path(folder) / f"export{path.suffix.lower()}"
        write(recording, scratch, zoom)
        if not scratch.is_file() or not scratch.stat().st_size:
            raise OSError(f"{path} could not be written: is the disk full?")
        scratch.replace(path)


def enlarge_frames(frame: np.ndarray, zoom: int) -> np.ndarray:
    """A frame with every pixel as a square of `zoom` pixels."""
    return frame.repeat(zoom, axis=0).repeat(zoom, axis=1)


def _write_animation(recording: Recording, path: Path, zoom: int) -> None:
    options = LOSSLESS if path.suffix == ".webp" else []
    frames = [enlarge_frames(frame, zoom) for frame in recording.episode.frames]
    path.write_bytes(encode_animation(frames, recording.fps, path.suffix, options))


def encode_animation(
    frames: Sequence[np.ndarray], fps: float, suffix: str, options: Sequence[int]
) -> bytes:
    """Frames uint8 `[H,W,3]` as the bytes of a .gif or .webp; `options` are OpenCV's.

    Raises:
        OSError: OpenCV could not.
    """
    animation = cv2.Animation()
    animation.frames = [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]
    animation.durations = [round(1000 / fps)] * len(frames)
    good, data = cv2.imencodeanimation(suffix, animation, options)
    if not good:
        raise OSError(f"an animation {suffix} could not be encoded.")
    return data.tobytes()


def _write_video(recording: Recording, path: Path, zoom: int) -> None:
    try:
        import av
    except ImportError as error:
        raise ValueError(
            "mp4 needs PyAV: pip install 'worldsim[video]', or export .webp."
        ) from error
    height, width, _ = recording.episode.frames.shape[1:]
    with open(path, "wb") as file, av.open(file, "w", format="mp4") as container:
        rate = Fraction(recording.fps).limit_denominator(1000)
        stream = container.add_stream("libx264", rate=rate, options={"crf": "16"})
        # The codec wants even sides.
        stream.width, stream.height = width * zoom // 2 * 2, height * zoom // 2 * 2
        stream.pix_fmt = "yuv420p"
        for frame in recording.episode.frames:
            picture = enlarge_frames(frame, zoom)[: stream.height, : stream.width]
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode())


def _write_sheet(recording: Recording, path: Path, zoom: int) -> None:
    """Frames evenly through the recording, the number under each."""
    frames = recording.episode.frames
    zoom = max(1, zoom // 3)  # many pictures share the page
    count = min(SHEET_FRAMES, len(frames))
    chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
    height, width = frames.shape[1] * zoom, frames.shape[2] * zoom
    columns = min(SHEET_COLUMNS, count)
    rows = math.ceil(count / columns)
    down, across = height + CAPTION + GAP, width + GAP
    sheet = np.full((rows * down + GAP, columns * across + GAP, 3), 255, np.uint8)
    for place, number in enumerate(chosen):
        top, left = GAP + place // columns * down, GAP + place % columns * across
        sheet[top : top + height, left : left + width] = enlarge_frames(frames[number], zoom)
        below = left, top + height + CAPTION - 3
        cv2.putText(sheet, str(number), below, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1)
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(sheet[..., ::-1]))[1].tobytes())


def _write_page(recording: Recording, path: Path, zoom: int) -> None:
    """One file with everything in it: pictures, actions, and a few lines that play them."""
    from worldsim.actions import load_actions

    episode = recording.episode
    pictures = [
        base64.b64encode(
            cv2.imencode(
                ".webp", np.ascontiguousarray(f[..., ::-1]), [cv2.IMWRITE_WEBP_QUALITY, 101]
            )[1]
        ).decode()
        for f in episode.frames
    ]
    names = load_actions(episode.meta.action_set).names
    height, width, _ = episode.frames.shape[1:]
    data = {
        "name": recording.name,
        "world": str(recording.identity),
        "seed": recording.point.start.seed,
        "fps": recording.fps,
        "size": [width, height],
        "zoom": zoom,
        "actions": ["", *(names[action] for action in episode.actions)],
        "frames": pictures,
    }
    # "</" would end the script, whatever it is inside of.
    text = json.dumps(data).replace("</", "<\\/")
    path.write_text(PAGE.replace("/*DATA*/", text), encoding="utf-8")


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A recording</title><style>
body{font:16px system-ui,sans-serif;background:#111;color:#eee;margin:2em auto;width:max-content}
canvas{image-rendering:pixelated;display:block}input{width:100%}kbd{color:#56b4e9}
</style></head><body><h1></h1><canvas></canvas><input type="range" min="0" value="0">
<p id="told"></p><p><kbd>Space</kbd> plays or pauses, <kbd>Left</kbd> and <kbd>Right</kbd> step,
<kbd>-</kbd> and <kbd>=</kbd> change the speed.</p><script>
const data=/*DATA*/;
const at=document.querySelector("input"),canvas=document.querySelector("canvas");
const [width,height]=data.size;
canvas.width=width;canvas.height=height;
canvas.style.width=width*data.zoom+"px";canvas.style.height=height*data.zoom+"px";
document.querySelector("h1").textContent=data.name;document.title=data.name;
at.max=data.frames.length-1;
const pictures=data.frames.map(one=>{const image=new Image();
image.src="data:image/webp;base64,"+one;return image});
let playing=true,speed=1,last=0;
async function show(){const number=+at.value;await pictures[number].decode();
if(number!==+at.value)return;
canvas.getContext("2d").drawImage(pictures[number],0,0);
document.querySelector("#told").textContent=`${data.world}, seed ${data.seed}: frame ${number} of `+
`${at.max}  ${data.actions[number]}  ${speed}x`}
function go(by){at.value=+at.value+by;show()}
function loop(now){if(playing&&now-last>1000/(data.fps*speed)){last=now;
if(+at.value>=+at.max)playing=false;else go(1)}requestAnimationFrame(loop)}
at.addEventListener("input",()=>{playing=false;show()});
addEventListener("keydown",event=>{const key=event.key;
if(key===" "){if(!playing&&+at.value>=+at.max)at.value=0;playing=!playing}
else if(key==="ArrowLeft"){playing=false;go(-1)}
else if(key==="ArrowRight"){playing=false;go(1)}
else if(key==="-")speed/=2;else if(key==="=")speed*=2;else return;event.preventDefault();show()});
show();requestAnimationFrame(loop);
</script></body></html>
"""
