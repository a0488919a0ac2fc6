"""What a world must show before it ships, read off a report. Plain data, no torch."""

from collections.abc import Iterator
from typing import Any

AGREEMENT = 0.95
TURNS = 0.05  # how far the dream's share of right turns may lie below the engine's
MEMORY_DB = 1.0  # how much more a place should look like itself for the long-term memory

ENOUGH = 8  # episodes; what fewer say is chance, and no verdict

Verdict = dict[str, Any]


def count_episodes(report: dict[str, Any]) -> int:
    """How many episodes the figures of a report are from."""
    return report.get("episodes", report["protocol"]["episodes"])


def judge_if_enough(report: dict[str, Any]) -> list[Verdict]:
    """The verdicts of a report, none of one of fewer episodes than ENOUGH."""
    return judge_report(report) if count_episodes(report) >= ENOUGH else []


def judge_report(report: dict[str, Any]) -> list[Verdict]:
    """What was asked, what was measured, what is wanted, and whether it is `good`."""
    told: list[Verdict] = []
    for part, judge in CHECKS.items():
        figures = report.get(part, {})
        if "failed" in figures:
            told.append(_make_verdict(part, "ran away", "a figure", False))
        elif figures and "skipped" not in figures:
            told += judge(figures)
    return told


def _make_verdict(asked: str, measured: Any, wanted: str, good: bool) -> Verdict:
    return {"asked": asked, "measured": measured, "wanted": wanted, "good": bool(good)}


def _judge_fidelity(part: dict[str, Any]) -> Iterator[Verdict]:
    ours = part["dream"]["psnr"]["mean"]
    for other in ("repeat last frame", "best of context"):
        theirs = part[other]["psnr"]["mean"]
        yield _make_verdict(
            f"mean PSNR against {other}", ours, f"above {theirs:.2f}", ours > theirs
        )


def _judge_following(part: dict[str, Any]) -> Iterator[Verdict]:
    share = part["dream"]["agreement"]["all"]
    good = share is not None and share >= AGREEMENT
    yield _make_verdict("the probe sees the action", share, f"at least {AGREEMENT}", good)
    for name, share in part["dream"]["turns the right way"].items():
        if share is not None:
            least = part["engine"]["turns the right way"][name] - TURNS
            asked = f"{name} moves the picture the right way"
            yield _make_verdict(asked, share, f"at least {least:.2f}", share >= least)


def _judge_memory(part: dict[str, Any]) -> Iterator[Verdict]:
    for way in ("turn", "away"):
        figures = part[way]
        if "skipped" in figures:
            continue
        ours = figures["dream"]["back vs before"]
        least = figures["dream"]["elsewhere vs before"]
        asked = f"{way}: the place looks like itself"
        yield _make_verdict(asked, ours, f"above {least:.2f}, other views", ours > least)
        if "dream without long memory" in figures:
            least = figures["dream without long memory"]["back vs before"] + MEMORY_DB
            asked = f"{way}: thanks to long memory"
            yield _make_verdict(asked, ours, f"at least {least:.2f}", ours >= least)


def _judge_drift(part: dict[str, Any]) -> Iterator[Verdict]:
    for kind, figures in part.items():
        if isinstance(figures, dict):
            yield _make_verdict(f"{kind} keys: no drift", figures["good"], "True", figures["good"])


CHECKS = {
    "fidelity": _judge_fidelity,
    "following": _judge_following,
    "memory": _judge_memory,
    "drift": _judge_drift,
}
