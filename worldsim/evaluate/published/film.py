"""The reference's lossy way: dream and truth side by side as a film, and what comes back of it."""

import io

import numpy as np

FPS, CRF = 8, "25"


def encode_and_decode_film(
    before: np.ndarray, context: np.ndarray, dream: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The four, uint8 `[T,H,W,3]`, as H.264 keeps them.

    Args:
        before: what stands before the dream.
        context: the true frames there.
        dream: dreamt frames.
        truth: the true ones.

    Raises:
        ValueError: PyAV is not installed.
    """
    ours, theirs = np.concatenate((before, dream)), np.concatenate((context, truth))
    film = film_frames(np.concatenate((ours, theirs), axis=2))
    wide, given = ours.shape[2], len(context)
    left, right = film[:, :, :wide], film[:, :, wide:]
    return left[:given], right[:given], left[given:], right[given:]


def film_frames(frames: np.ndarray) -> np.ndarray:
    """Frames uint8 `[T,H,W,3]` of even sides, written as H.264 and read again."""
    try:
        import av
    except ImportError as error:
        raise ValueError("--as-published needs PyAV: pip install 'worldsim[video]'") from error
    memory = io.BytesIO()
    with av.open(memory, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": CRF})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    memory.seek(0)
    with av.open(memory, "r") as film:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])
