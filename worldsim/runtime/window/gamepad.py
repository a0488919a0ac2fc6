"""Gamepads as keys: every control has a name, "pad a", and is pressed like a key of that name.

What a control means is in the tables of keys (keys.py, bindings.py). They may come and go while it
runs. Where SDL knows a gamepad, its letters and directions are those that are printed on it;
another joystick's buttons are counted. Knows pygame's events and no window.
"""

from worldsim.runtime.window.screen import controller, pygame

BUTTONS = {
    pygame.CONTROLLER_BUTTON_A: "pad a",
    pygame.CONTROLLER_BUTTON_B: "pad b",
    pygame.CONTROLLER_BUTTON_X: "pad x",
    pygame.CONTROLLER_BUTTON_Y: "pad y",
    pygame.CONTROLLER_BUTTON_LEFTSHOULDER: "pad lb",
    pygame.CONTROLLER_BUTTON_RIGHTSHOULDER: "pad rb",
    pygame.CONTROLLER_BUTTON_BACK: "pad back",
    pygame.CONTROLLER_BUTTON_START: "pad start",
    pygame.CONTROLLER_BUTTON_DPAD_LEFT: "pad left",
    pygame.CONTROLLER_BUTTON_DPAD_RIGHT: "pad right",
    pygame.CONTROLLER_BUTTON_DPAD_UP: "pad up",
    pygame.CONTROLLER_BUTTON_DPAD_DOWN: "pad down",
}
COUNTED = ("pad a", "pad b", "pad x", "pad y", "pad lb", "pad rb", "pad back", "pad start")
HATS = {(-1, 0): "pad left", (1, 0): "pad right", (0, 1): "pad up", (0, -1): "pad down"}
# The first two axes are the left stick, of a joystick and of a gamepad alike.
STICK = {(0, -1): "pad left", (0, 1): "pad right", (1, -1): "pad up", (1, 1): "pad down"}
TRIGGERS = {
    (pygame.CONTROLLER_AXIS_TRIGGERLEFT, 1): "pad lt",
    (pygame.CONTROLLER_AXIS_TRIGGERRIGHT, 1): "pad rt",
}
FULL = 32767
IN, OUT = 0.6, 0.4  # a stick must come back further than it went, so that it does not flutter

Changes = list[tuple[str, bool]]


class Gamepads:
    """All the gamepads and joysticks there are."""

    def __init__(self) -> None:
        pygame.joystick.init()
        controller.init()
        self._open: dict[int, object] = {}  # kept, or they would be closed
        self._known: set[int] = set()  # whose controls SDL knows by name
        self._down: dict[int, set[tuple[str, str]]] = {}

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._open)

    def keys(self, event: "pygame.event.Event") -> Changes:
        """The keys an event presses (True) and lets go (False)."""
        if event.type == pygame.JOYDEVICEADDED:
            self._add(event.device_index)
        elif event.type == pygame.JOYDEVICEREMOVED:
            return self._remove(event.instance_id)
        elif event.type in (pygame.CONTROLLERBUTTONDOWN, pygame.CONTROLLERBUTTONUP):
            is_down = event.type == pygame.CONTROLLERBUTTONDOWN
            return self._button(event, BUTTONS.get(event.button), is_down)
        elif event.type == pygame.CONTROLLERAXISMOTION:
            return self._axis(event, event.value / FULL, STICK | TRIGGERS)
        elif getattr(event, "instance_id", None) not in self._known:
            return self._joystick(event)
        return []

    def _add(self, index: int) -> None:
        if controller.is_controller(index):
            pad = controller.Controller(index)
            number = pad.as_joystick().get_instance_id()
            self._known.add(number)
        else:
            pad = pygame.joystick.Joystick(index)
            number = pad.get_instance_id()
        self._open[number] = pad

    def _remove(self, number: int) -> Changes:
        """One was unplugged: nothing on it is down any more."""
        self._open.pop(number, None)
        self._known.discard(number)
        held = {key for _, key in self._down.pop(number, ())}
        return [(key, False) for key in sorted(held)]

    def _joystick(self, event: "pygame.event.Event") -> Changes:
        """One that SDL does not know."""
        if event.type in (pygame.JOYBUTTONDOWN, pygame.JOYBUTTONUP):
            name = COUNTED[event.button] if event.button < len(COUNTED) else None
            return self._button(event, name, event.type == pygame.JOYBUTTONDOWN)
        if event.type == pygame.JOYHATMOTION:
            x, y = event.value
            held = {HATS.get((x, 0)), HATS.get((0, y))}
            return self._set(event, "hat", {key: key in held for key in HATS.values()})
        if event.type == pygame.JOYAXISMOTION:
            return self._axis(event, event.value, STICK)
        return []

    def _button(self, event: "pygame.event.Event", name: str | None, is_down: bool) -> Changes:
        return [] if name is None else self._set(event, "button", {name: is_down})

    def _axis(
        self, event: "pygame.event.Event", value: float, names: dict[tuple[int, int], str]
    ) -> Changes:
        wanted = {}
        for sign in (-1, 1):
            key, far = names.get((event.axis, sign)), value * sign
            if key is not None and (far > IN or far < OUT):
                wanted[key] = far > IN
        return self._set(event, "axis", wanted)

    def _set(self, event: "pygame.event.Event", part: str, wanted: dict[str, bool]) -> Changes:
        """What changes when a part of a gamepad holds these keys, or does not; the stick and the
        cross may hold the same one, and it is down until both let go.
        """
        down = self._down.setdefault(event.instance_id, set())
        changed = []
        for key, is_down in wanted.items():
            before = any(held == key for _, held in down)
            (down.add if is_down else down.discard)((part, key))
            after = any(held == key for _, held in down)
            if before != after:
                changed.append((key, after))
        return changed
