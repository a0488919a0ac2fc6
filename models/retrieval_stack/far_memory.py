"""What a dream's carry remembers of places, and what that says about the frame that comes next: the
bank of old frames, views of it, cells of it, and where a true frame was seen from.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from models.far.carry import FARCarry
from models.far.config import FARConfig
from models.far.network import NO_FRAME
from models.memory.pose import distance, motions_between
from models.retrieval_stack.album import Album
from models.retrieval_stack.contrast import age, with_contrast
from models.retrieval_stack.fusion import Views
from models.retrieval_stack.geometry import Geometry, candidates
from models.retrieval_stack.inpainting import find_continuation
from models.retrieval_stack.retrieval import cells_of, find_same_pose, retrieve_anywhere

NOVEL = 0.1
OLD = 0.5  # age from which a dream with an album takes no more cells of its own
BESIDE = 1.0  # how near an old frame must be seen from to tell where a new one was


class Remembered(NamedTuple):
    """Old frames seen from near the place of arrival, the nearest first: latents float16
    `[B,M,C,h,w]`, poses `[B,M,3]`; which of them there are, known bool `[B,M]`, and which were
    truly seen, true bool `[B,M]`.
    """

    latents: Tensor
    poses: Tensor
    known: Tensor
    true: Tensor


def insert_frame(carry: FARCarry, latents: Tensor, ids: Tensor, poses: Tensor, true: bool) -> None:
    """Keep frames, dreamt or `true` ones, whose place is new; when the bank is full, the nearest
    kept one makes room. Old pictures of a place stay: they are nearer the truth.
    """
    empty = carry.bank.ids == NO_FRAME
    far = distance(poses.unsqueeze(1), carry.bank.poses).masked_fill(empty, torch.inf)
    nearest, index = far.min(dim=1)
    place = torch.where(empty.any(dim=1), empty.int().argmax(dim=1), index)
    rows = torch.nonzero(nearest > NOVEL).flatten()
    at = place[rows]
    carry.bank.latents[rows, at] = latents[rows].to(carry.bank.latents.dtype)
    carry.bank.poses[rows, at] = poses[rows]
    carry.bank.ids[rows, at] = ids[rows]
    carry.bank.true[rows, at] = true


def find_repeated_frame(carry: FARCarry, arrives: Tensor, within: float) -> tuple[Tensor, Tensor]:
    """Which dreams `[B]` arrive at poses `[B,3]` where a remembered frame was seen from (0: none
    is looked for), and what it showed `[B,C,h,w]`.
    """
    if not within:
        return torch.zeros_like(carry.frame, dtype=torch.bool), carry.newest
    poses = torch.cat((carry.poses.unsqueeze(1), carry.bank.poses), dim=1)
    usable = torch.cat(((carry.frame > 0).unsqueeze(1), carry.bank.ids != NO_FRAME), dim=1)
    again, index = find_same_pose(arrives, poses, usable, within)
    rows = torch.arange(len(index), device=index.device)
    kept = carry.bank.latents[rows, (index - 1).clamp(min=0)].to(carry.newest.dtype)
    return again, torch.where((index == 0)[:, None, None, None], carry.newest, kept)


def views_from(
    geometry: Geometry, carry: FARCarry, remembered: Remembered, arrives: Tensor, needed: Tensor
) -> Views:
    """What memory shows from poses `[B,3]`; nothing in the dreams where it is not `needed`."""
    parts = []
    for row, wanted in enumerate(needed.tolist()):
        known = remembered.known[row] & wanted
        newest = slice(row, row + int(wanted and carry.frame[row] > 0))
        parts.append(
            geometry.render(
                carry.newest[newest],
                carry.poses[newest],
                remembered.latents[row, known],
                remembered.poses[row, known],
                arrives[row : row + 1],
            )
        )
    # One order in memory, that of a row with views: a row without them has another, which would be
    # that of the whole batch, and sums over channels would add up otherwise in all its rows.
    joined = (torch.cat(part) for part in zip(*parts, strict=True))
    ordered = (
        part.contiguous(memory_format=torch.channels_last) if part.dim() == 4 else part
        for part in joined
    )
    return Views(*ordered)


def compose_frame(
    cfg: FARConfig,
    made: Tensor,
    carry: FARCarry,
    remembered: Remembered,
    views: Views | None,
    lends: bool,
    needed: Tensor,
    anywhere: Callable[[Tensor], Tensor] | None,
    album: Album | None = None,
    luck: Tensor | None = None,
) -> Tensor:
    """Frames `[B,C,h,w]` of cells that were seen nearby, just now, or truly
    (models/retrieval_stack/retrieval.py), in the dreams where that is `needed` `[B]`; where the
    views `lends`, of theirs too. What no view shows is filled in before
    (models/retrieval_stack/inpainting.py), with `luck`, noise `[B,...]`. The coarsest `kept`
    channels stay as they were `made`, less and less as a dream grows old. Cells copied from copies
    lose what is fine in them, so an old dream takes true ones only, where an album has enough of
    them.
    """
    seen = torch.cat((carry.newest.unsqueeze(1), remembered.latents), dim=1)
    known = torch.cat(((carry.frame > 0).unsqueeze(1), remembered.known), dim=1)
    true = torch.cat((torch.zeros_like(known[:, :1]), remembered.true), dim=1)
    made, shifted = made.clone(), 0 if anywhere is None else cfg.sampler.shifted
    for row in torch.nonzero(needed).flatten().tolist():
        old = age(cfg, carry, row)
        by_chance = None if luck is None else luck[row]
        wanted, filled = _restore_frame(cfg, carry, row, made[row], views, old, album, by_chance)
        frames = torch.cat(
            (filled, _exemplars(carry, row, cfg.sampler.exemplars, album).to(made.dtype))
        )
        more = [cells_of(frames.unsqueeze(0))[0]]
        own = album is None or old <= OLD
        there = seen[row, known[row] & (true[row] | own)]
        if views is not None and lends and own:
            more.append(candidates(Views(*(part[row : row + 1] for part in views))))
        found = retrieve_anywhere(
            wanted.unsqueeze(0), there, cfg.sampler.retrieval, anywhere, shifted, torch.cat(more)
        )[0]
        kept = wanted[: cfg.sampler.kept].lerp(found[: cfg.sampler.kept], old)
        made[row] = torch.cat((kept, found[cfg.sampler.kept :]))
    return made


def _restore_frame(
    cfg: FARConfig,
    carry: FARCarry,
    row: int,
    made: Tensor,
    views: Views | None,
    old: float,
    album: Album | None = None,
    luck: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One predicted frame `[C,h,w]` with what views show, with what none shows and what is empty
    filled in, and with contrast, more and more as the dream grows `old`; and the frames `[N,C,h,w]`
    that filled it.
    """
    filled = made.new_zeros(0, *made.shape)
    if views is not None:
        by_newest, by_keyframes = views.newest_seen[row], views.keyframes_seen[row]
        seen = torch.maximum(by_newest, by_keyframes)
        shown = torch.where(by_keyframes > by_newest, views.keyframes[row], views.newest[row])
        made = made.lerp(shown, cfg.sampler.trust * old * seen)
        unseen = 1 - seen
        if album is not None:
            unseen = unseen.clamp(min=album.emptiness(made, old, _from_truth(carry, row)))
        if cfg.sampler.inpaint:
            filled = find_continuation(carry, row, made, unseen, old, album, luck)
        if len(filled):
            share = cfg.sampler.inpaint + (cfg.sampler.inpaint_old - cfg.sampler.inpaint) * old
            made = made.lerp(filled[0], share * unseen)
    if cfg.sampler.contrast:
        made = with_contrast(cfg, carry, row, made, cfg.sampler.contrast * old)
    return made, filled


def _from_truth(carry: FARCarry, row: int) -> Tensor:
    """How far a dreamer has gone from all places of which he remembers a true frame, `[]`."""
    true = carry.bank.poses[row, carry.bank.true_frames(row)]
    if not len(true):
        return carry.poses.new_full((), torch.inf)
    return distance(carry.poses[row], true).min()


def _exemplars(carry: FARCarry, row: int, count: int, album: Album | None) -> Tensor:
    """Latents `[N,C,h,w]` of at most `count` truly seen frames of a dream, evenly from all of them,
    and of as many of an album: what surrounds a dreamer who has gone far is his own dream.
    """
    at = torch.nonzero(carry.bank.true_frames(row)).flatten()
    steps = torch.linspace(0, len(at) - 1, min(count, len(at))).long()
    own = carry.bank.latents[row, at[steps.to(at.device)]]
    return own if album is None else torch.cat((own, album.frames[:count]))


def refine_pose(
    geometry: Geometry,
    carry: FARCarry,
    latents: Tensor,
    actions: Tensor,
    motions: Tensor,
    poses: Tensor,
) -> tuple[Tensor, Tensor]:
    """Motions `[B,2]` and poses `[B,3]` as true frames `[B,C,h,w]` tell, beside the newest frame
    and the old one seen from nearest by; those of dead reckoning where they tell nothing.
    """
    usable = (carry.bank.ids >= 0) & (carry.bank.ids < (carry.frame - 1).unsqueeze(1))
    apart = distance(poses.unsqueeze(1), carry.bank.poses).masked_fill(~usable, torch.inf)
    away, nearest = apart.min(dim=1)
    poses = poses.clone()
    for row in torch.nonzero((carry.frame > 0) & (actions >= 0)).flatten().tolist():
        others, theirs = carry.newest[row : row + 1], carry.poses[row : row + 1]
        if away[row] < BESIDE:
            old = slice(int(nearest[row]), int(nearest[row]) + 1)
            others = torch.cat((others, carry.bank.latents[row, old].to(others.dtype)))
            theirs = torch.cat((theirs, carry.bank.poses[row, old]))
        poses[row] = geometry.refine_pose(latents[row : row + 1], poses[row], others, theirs)
    moved = motions_between(torch.stack((carry.poses, poses), dim=1))[:, 1]
    return torch.where((carry.frame > 0).unsqueeze(1), moved, motions), poses
