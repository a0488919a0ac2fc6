"""Actions by a model learnt from a few labelled films: right, and checked on other films."""

import numpy as np
import pytest

from models.own_video.inverse_dynamics import (
    LabelPlan,
    LabelReport,
    describe_report,
    infer_actions,
    learn_actions,
    split_films,
)
from tests.support.panoramas import turn_about
from worldsim.actions import load_actions

TABLE = load_actions("dmlab")


def test_a_few_films_teach_the_others():
    films = [turn_about(60, seed, video=f"film{seed}") for seed in range(4)]
    probe, report = learn_actions(films, TABLE, LabelPlan(epochs=10))
    assert (report.films, report.steps, report.held_out) == (3, 180, 1)
    assert report.confusion.sum() == 60
    assert report.accuracy > 0.9 > 0.6 > report.commonest
    other = turn_about(60, 9)
    assert (infer_actions(probe, other.frames) == other.actions).mean() > 0.9


def test_a_film_is_learnt_from_or_checked_with_and_never_both():
    """Two pieces of one film share a frame, and a place."""
    episodes = [turn_about(3, seed, video=f"film{seed // 2}") for seed in range(20)]
    learnt, held = ([e.meta.extra["video"] for e in part] for part in split_films(episodes, 0))
    assert not set(learnt) & set(held)
    assert (len(learnt), len(held)) == (16, 4)
    with pytest.raises(ValueError, match="at least 2, one to learn from and one to check"):
        split_films(episodes[:2], 0)


def test_the_report_counts_what_was_taken_for_what():
    report = LabelReport(
        np.array([[8, 2, 0, 0], [0, 0, 0, 0], [0, 0, 10, 0], [5, 0, 0, 0]]), 3, 99, 2
    )
    assert report.accuracy == 18 / 25
    assert report.commonest == 10 / 25
    first, left, forward, stand = describe_report(report, TABLE)
    assert "25 steps of 2 held-out videos 72.0% right" in first
    assert left == "  left: 10 steps, taken for left 80.0%, right 20.0%"
    assert forward.endswith("forward 100.0%")
    assert stand.endswith("left 100.0%")
