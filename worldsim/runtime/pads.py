"""Gamepads as keys: what is pressed on one goes the same way as a key of the same name.

They may come and go while it runs. Knows pygame's events and no window.
"""

from worldsim.runtime.screen import pygame

BUTTONS = {
    0: "w",  # A: forward
    1: "backspace",  # B: back in time
    2: "b",  # X: the fan
    3: "g",  # Y: the ghost
    4: "[",
    5: "]",
    6: "f5",
    7: "p",
    8: "f1",
}
HATS = {(-1, 0): "left", (1, 0): "right", (0, 1): "up", (0, -1): "down"}
AXES = {(0, -1): "left", (0, 1): "right", (1, -1): "up", (1, 1): "down"}
IN, OUT = 0.6, 0.4  # a stick must come back further than it went, so that it does not flutter


class Pads:
    """All the gamepads there are."""

    def __init__(self) -> None:
        pygame.joystick.init()
        self._pads: dict[int, pygame.joystick.JoystickType] = {}
        self._down: dict[int, set[str]] = {}

    def keys(self, event: "pygame.event.Event") -> list[tuple[str, bool]]:
        """The keys an event presses (True) and lets go (False)."""
        if event.type == pygame.JOYDEVICEADDED:
            pad = pygame.joystick.Joystick(event.device_index)
            self._pads[pad.get_instance_id()] = pad
        elif event.type == pygame.JOYDEVICEREMOVED:
            self._pads.pop(event.instance_id, None)
            return [(key, False) for key in sorted(self._down.pop(event.instance_id, ()))]
        elif event.type in (pygame.JOYBUTTONDOWN, pygame.JOYBUTTONUP):
            key = BUTTONS.get(event.button)
            if key is not None:
                return self._set(event, {key: event.type == pygame.JOYBUTTONDOWN})
        elif event.type == pygame.JOYHATMOTION:
            x, y = event.value
            held = {HATS.get((x, 0)), HATS.get((0, y))}
            return self._set(event, {key: key in held for key in HATS.values()})
        elif event.type == pygame.JOYAXISMOTION:
            return self._axis(event)
        return []

    def _axis(self, event: "pygame.event.Event") -> list[tuple[str, bool]]:
        wanted = {}
        for sign in (-1, 1):
            key = AXES.get((event.axis, sign))
            far = event.value * sign
            if key is not None and (far > IN or far < OUT):
                wanted[key] = far > IN
        return self._set(event, wanted)

    def _set(self, event: "pygame.event.Event", wanted: dict[str, bool]) -> list[tuple[str, bool]]:
        """What changes when these keys are to be down or not."""
        down = self._down.setdefault(event.instance_id, set())
        changed = [(key, is_down) for key, is_down in wanted.items() if is_down != (key in down)]
        for key, is_down in changed:
            (down.add if is_down else down.discard)(key)
        return changed
