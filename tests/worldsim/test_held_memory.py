"""Every buffer once, whatever shares it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from worldsim.held_memory import Ledger, measure_bytes, measure_storages


class Pair(NamedTuple):
    one: Any
    other: Any


@dataclass
class Slotted:
    __slots__ = ("inside",)
    inside: Any


def test_what_is_shared_counts_once_and_views_as_what_they_keep_alive():
    array = np.zeros(1000, np.uint8)
    assert measure_bytes(array[3:5]) == 1000
    assert measure_bytes(Pair(array, [array[10:], {"a": (array, array.reshape(10, 100))}])) == 1000
    assert measure_bytes(Slotted(array), bytes(7), {np.float32(3), "text", None, 5}) == 1007
    tensor = torch.zeros(250)
    assert measure_bytes([tensor, tensor[3:], tensor.view(10, 25)]) == 1000


def test_what_goes_round_in_circles_comes_to_an_end():
    circle = [np.zeros(8, np.uint8)]
    circle.append(circle)
    assert measure_bytes(circle) == 8
    assert measure_storages(None, "text", 3, print, np) == {}


def test_a_ledger_forgets_a_buffer_with_its_last_holder():
    one, other = np.zeros(10, np.uint8), np.zeros(100, np.uint8)
    ledger = Ledger()
    ledger.add(measure_storages(one, other))
    ledger.add(measure_storages(one))
    assert ledger.bytes == 110
    ledger.remove(measure_storages(one, other))
    assert ledger.bytes == 10
    ledger.remove(measure_storages(one))
    assert ledger.bytes == 0
