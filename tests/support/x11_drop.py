"""Another program's part in a drag and drop under X11 (the XDND protocol, version 5): it lets go of
a file over a window. SDL and python-xlib speak to each other through a real X server.
"""

import time
from pathlib import Path

from Xlib import X, Xatom, display
from Xlib.protocol import event

VERSION = 5


class Dropper:
    """A window that drags one file.

    Args:
        screen: the display's name.
        target: id of the window to drop onto.
    """

    def __init__(self, screen: str, target: int) -> None:
        self._display = display.Display(screen)
        self._target = self._display.create_resource_object("window", target)
        root = self._display.screen().root
        self._window = root.create_window(0, 0, 1, 1, 0, X.CopyFromParent)
        self._uris = self._atom("text/uri-list")

    def drop(self, path: Path, seconds: float) -> bool:
        """Drag a file over the middle of the target, let go, and hand it over.

        Returns:
            Whether the target took it.
        """
        aware = self._target.get_full_property(self._atom("XdndAware"), Xatom.ATOM)
        if aware is None or aware.value[0] < VERSION:
            return False
        self._window.set_selection_owner(self._atom("XdndSelection"), X.CurrentTime)
        size = self._target.get_geometry()
        at = self._target.translate_coords(self._display.screen().root, 0, 0)
        x, y = size.width // 2 - at.x, size.height // 2 - at.y
        copy = self._atom("XdndActionCopy")
        self._tell("XdndEnter", VERSION << 24, self._uris, 0, 0)
        self._tell("XdndPosition", 0, x << 16 | y, X.CurrentTime, copy)
        until, accepted = time.monotonic() + seconds, False
        while time.monotonic() < until:
            if not self._display.pending_events():
                time.sleep(0.01)
                continue
            got = self._display.next_event()
            if got.type == X.SelectionRequest:
                self._give(got, path)
            elif got.type == X.ClientMessage and got.client_type == self._atom("XdndStatus"):
                if not accepted:
                    self._tell("XdndDrop", 0, X.CurrentTime, 0, 0)
                accepted = True
            elif got.type == X.ClientMessage and got.client_type == self._atom("XdndFinished"):
                return accepted
        return False

    def close(self) -> None:
        """Leave the display."""
        self._display.close()

    def _atom(self, name: str) -> int:
        return self._display.intern_atom(name)

    def _tell(self, name: str, *data: int) -> None:
        message = event.ClientMessage(
            window=self._target, client_type=self._atom(name), data=(32, [self._window.id, *data])
        )
        self._target.send_event(message)
        self._display.flush()

    def _give(self, asked: event.SelectionRequest, path: Path) -> None:
        uri = (path.resolve().as_uri() + "\r\n").encode()
        asked.requestor.change_property(asked.property, self._uris, 8, uri)
        answer = event.SelectionNotify(
            time=asked.time,
            requestor=asked.requestor,
            selection=asked.selection,
            target=asked.target,
            property=asked.property,
        )
        asked.requestor.send_event(answer)
        self._display.flush()
