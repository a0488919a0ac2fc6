"""The published protocols as data: which clips, how long, how often, which figures, and the paper's
own rows (arXiv 2503.19325). Plain data, no torch.
"""

from dataclasses import dataclass, replace
from typing import Any

Row = tuple[str, dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One table's way of measuring.

    Attributes:
        protocol: its key.
        layout: the published data set.
        data: the list of its clips, where it lies as downloaded.
        given: true frames that a dream begins with.
        spans: how many dreamt frames are measured; the longest is dreamt, and one table made of
            each.
        interval: every so many frames of a clip.
        every: every so many clips of the list.
        balanced: as many clips of every class, drawn by the seed 0.
        clips: how many.
        trajectories: dreams of each clip.
        guidance: classifier-free guidance, where the network has it; 1 is none.
        null: every action is replaced by none.
        labelled: only for networks that take labels (True), or none (False); None for all.
        seeds: the whole is done once with each.
        metrics: columns of the table.
        steps: sampler steps a frame of released weights.
    """

    protocol: str
    layout: str
    data: str
    given: int
    spans: tuple[int, ...]
    interval: int = 1
    every: int = 1
    balanced: bool = False
    clips: int = 256
    trajectories: int = 1
    guidance: float = 1.0
    null: bool = False
    labelled: bool | None = None
    seeds: tuple[int, ...] = (0,)
    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips")
    steps: int = 50

    @property
    def predicted(self) -> int:
        """How many frames are dreamt."""
        return max(self.spans)

    @property
    def paired(self) -> bool:
        """Whether a dream has a true clip of its own, frame by frame."""
        return self.given > 0


_DMLAB, _MINECRAFT = "datasets/dmlab/dmlab_val.json", "datasets/minecraft/minecraft_val.json"
_UCF, _BAIR = "datasets/ucf101/test03.json", "datasets/bair/bair_val.json"
_SEEDS, _ALL = (0, 2, 4, 6), ("psnr", "ssim", "lpips", "fvd")
_TECO: dict[str, Any] = {
    "protocol": "teco",
    "given": 144,
    "spans": (156,),
    "guidance": 1.5,
    "seeds": _SEEDS,
}
_LONG: dict[str, Any] = {
    "protocol": "teco-fvd",
    "given": 36,
    "spans": (264,),
    "seeds": _SEEDS,
    "metrics": ("fvd",),
}
_LATTE: dict[str, Any] = {
    "protocol": "latte",
    "layout": "ucf101",
    "data": "datasets/ucf101/trainval.json",
}
_LATTE |= {"given": 0, "spans": (16,), "interval": 3, "balanced": True, "metrics": ("fvd",)}
SETTINGS = (
    Setting(**_TECO, layout="dmlab", data=_DMLAB),
    Setting(**_TECO, layout="minecraft", data=_MINECRAFT),
    Setting(**_LONG, layout="dmlab", data=_DMLAB, null=True),
    Setting(**_LONG, layout="minecraft", data=_MINECRAFT, guidance=1.5),
    Setting(
        protocol="mcvd",
        layout="ucf101",
        data=_UCF,
        given=4,
        spans=(12,),
        every=10,
        trajectories=100,
        metrics=_ALL,
    ),
    Setting(
        protocol="mcvd",
        layout="bair",
        data=_BAIR,
        given=2,
        spans=(14, 28),
        trajectories=100,
        metrics=_ALL,
    ),
    Setting(**_LATTE, clips=2048, labelled=False, seeds=_SEEDS),
    Setting(**_LATTE, clips=10_000, labelled=True, guidance=2.0, seeds=_SEEDS),
)
NAMES = tuple(dict.fromkeys(setting.protocol for setting in SETTINGS))


def find_setting(protocol: str, layout: str, labelled: bool) -> Setting:
    """The setting of a protocol on a data set.

    Raises:
        ValueError: the protocol has none.
    """
    those = [setting for setting in SETTINGS if setting.protocol == protocol]
    for setting in those:
        if setting.layout == layout and setting.labelled in (None, labelled):
            return setting
    known = dict.fromkeys(setting.layout for setting in those)
    raise ValueError(
        f"the protocol {protocol} is of {' and '.join(known)}, not of {layout}: give another "
        f"--protocol or --layout"
    )


def quick(setting: Setting) -> Setting:
    """The same in seconds: few short clips, few dreams; its figures mean nothing."""
    given = min(setting.given, 4)
    spans = tuple(dict.fromkeys(min(span, 8 + 2 * n) for n, span in enumerate(setting.spans)))
    spans = spans if setting.given else (12,)
    return replace(
        setting,
        given=given,
        spans=spans,
        every=1,
        interval=1,
        clips=2,
        trajectories=min(setting.trajectories, 2),
        seeds=setting.seeds[:2],
        steps=2,
    )


def _row(name: str, *figures: str) -> Row:
    return name, dict(zip(("psnr", "ssim", "lpips", "fvd"), figures, strict=False))


_OF_TECO = {
    "dmlab": (
        _row("FitVid", "12.0", ".356", ".491", "176"),
        _row("CW-VAE", "12.6", ".372", ".465", "125"),
        _row("Perceiver AR", "11.2", ".304", ".487", "96"),
        _row("Latent FDM", "17.8", ".588", ".222", "181"),
        _row("TECO", "21.9", ".703", ".157", "48"),
        _row("FAR-B-Long", "22.3", ".687", ".104", "64"),
    ),
    "minecraft": (
        _row("FitVid", "13.0", ".343", ".519", "956"),
        _row("CW-VAE", "13.4", ".338", ".441", "397"),
        _row("Perceiver AR", "13.2", ".323", ".441", "76"),
        _row("Latent FDM", "13.4", ".349", ".429", "167"),
        _row("TECO", "15.4", ".381", ".340", "116"),
        _row("FAR-M-Long", "16.9", ".448", ".251", "39"),
    ),
}
_OF_MCVD = {
    ("ucf101", 12): (_row("FAR-B", "25.64", ".818", ".037", "194.1"),),
    ("bair", 14): (_row("FAR-B", "20.87", ".849", ".038", "99.3"),),
    ("bair", 28): (_row("FAR-B", "19.40", ".819", ".049", "144.3"),),
}
_OF_LATTE = {
    False: (
        ("FAR-L, 128 px", {"fvd": "280"}),
        ("FAR-L, 256 px", {"fvd": "303"}),
        ("FAR-XL, 256 px", {"fvd": "279"}),
    ),
    True: (
        ("FAR-L, 128 px", {"fvd": "99"}),
        ("FAR-L, 256 px", {"fvd": "113"}),
        ("FAR-XL, 256 px", {"fvd": "108"}),
    ),
}


def read_paper_rows(setting: Setting, span: int) -> tuple[Row, ...]:
    """The paper's own rows of a table, as printed there."""
    rows: tuple[Row, ...]
    if setting.protocol.startswith("teco"):
        rows = _OF_TECO[setting.layout]
    elif setting.protocol == "mcvd":
        rows = _OF_MCVD.get((setting.layout, span), ())
    else:
        rows = _OF_LATTE[bool(setting.labelled)]
    return tuple((name, {m: row[m] for m in setting.metrics if m in row}) for name, row in rows)
