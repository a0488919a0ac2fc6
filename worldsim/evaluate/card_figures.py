"""The main figures of an evaluation, written into the world's own card.

    worldsim evaluate runs/dmlab/world --card
    worldsim evaluate runs/dmlab/world --only visibility --card

Figures are no part of a world's identity: saved states and recordings stay valid.
"""

import dataclasses
from pathlib import Path
from typing import Any

from worldsim.world.card import read_card
from worldsim.world.checkpoint import CARD, check_world, write_card


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """What a card tells of a report: JSON values, only the parts that were measured."""
    protocol, told = report["protocol"], _visibility(report)
    if not {"fidelity", "following", "memory", "drift"} & set(report):
        return told
    told |= {name: protocol[name] for name in ("episodes", "context", "predicted", "long")}
    told["steps"] = report["steps"]
    fidelity = report.get("fidelity", {})
    for name in ("dream", "repeat last frame", "best of context"):
        if name in fidelity:
            told[f"psnr, {name}"] = fidelity[name]["psnr"]
    following = report.get("following", {})
    if "dream" in following:
        told["action following"] = following["dream"]["agreement"]["all"]
    for way in ("turn", "away"):
        figures = report.get("memory", {}).get(way, {})
        for name in ("dream", "dream without long memory"):
            if name in figures:
                told[f"psnr, {way} and back, {name}"] = figures[name]["back vs before"]
    for keys, figures in report.get("drift", {}).items():
        if isinstance(figures, dict):
            told[f"drift, {keys} keys"] = {
                name: value for name, value in figures.items() if name not in ("series", "colour")
            }
    return told


def _visibility(report: dict[str, Any]) -> dict[str, Any]:
    """What is kept of what the context shows, and how well the rest is invented; with how much of
    it was measured, since that may be another run than the other figures'.
    """
    part, protocol = report.get("visibility", {}), report["protocol"]
    if "seen" not in part:
        return {}
    told = {name: protocol[name] for name in ("episodes", "context", "predicted", "long")}
    told |= {"steps": report["steps"], "share": part["share"]["context shows"]["share"]}
    told["seen psnr"] = {name: one["psnr"] for name, one in part["seen"].items()}
    told |= {name: part[name] for name in ("invented", "two seeds", "return")}
    if part.get("led"):
        told["led psnr"] = part["led"]["psnr"]
    told["network"] = part["features"].get("network")
    real = {k: v for k, v in part["real or dreamt"].items() if isinstance(v, dict)}
    told["real or dreamt"] = {name: one["accuracy"] for name, one in real.items()}
    return {"visibility": told}


def write_figures(folder: Path, report: dict[str, Any]) -> str:
    """Put a report's figures into the card of the world in `folder`; the world's identity. Figures
    of parts that were not measured stay.

    Raises:
        ValueError: the report is of another world.
    """
    if check_world(folder) != report["hash"]:
        raise ValueError(
            f"the report is of a world with the hash {report['hash'][:12]}, {folder} has another: "
            f"evaluate this one"
        )
    card = dataclasses.asdict(read_card(folder / CARD))
    card["figures"] |= summary(report)
    write_card(folder, card)
    return check_world(folder)
