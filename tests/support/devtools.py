"""A headless Chromium led over a pipe by the DevTools protocol, and a web server on loopback."""

import functools
import json
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

OPTIONS = ("--headless", "--no-sandbox", "--disable-dev-shm-usage")
OPTIONS += ("--no-first-run", "--disable-background-networking", "--remote-debugging-pipe")
NO_GPU = ("--disable-gpu",)
SOFTWARE_WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
SOFTWARE_WEBGPU += ("--enable-features=Vulkan",)
COMPLAINTS = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")

LEFT = "navigated or closed"  # what a page's promises come to when another page is loaded


class PageLeft(Exception):
    """The page that was asked is not there any more."""


def find_chromium():
    """The path of a Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Tab:
    """One page.

    Attributes:
        complaints: what the browser logged, errors and warnings.
    """

    def __init__(self, sending, receiving):
        self._sending, self._receiving, self._last = sending, receiving, 0
        self._rest, self._session, self.complaints = b"", None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        told = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = told["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """The result of a command."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._sending.write(json.dumps(message).encode() + b"\0")
        self._sending.flush()
        while True:
            told = self._read()
            if told.get("method") in COMPLAINTS:
                self.complaints.append(told["params"])
            if told.get("id") == self._last:
                if LEFT in told.get("error", {}).get("message", ""):
                    raise PageLeft(LEFT)
                assert "error" not in told, told
                return told["result"]

    def _read(self):
        while b"\0" not in self._rest:
            part = os.read(self._receiving.fileno(), 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def cpu_seconds(self):
        """Processor time that the browser's pages have taken so far."""
        session, self._session = self._session, None  # the browser is asked, and not the page
        told = self.call("SystemInfo.getProcessInfo")["processInfo"]
        self._session = session
        return sum(one["cpuTime"] for one in told if one["type"] == "renderer")

    def evaluate(self, expression):
        """The value of a JavaScript expression, a promise's when it is kept."""
        told = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait_for(self, condition):
        """Wait until a JavaScript condition holds, also where the page loads itself once more."""
        look = f"(done) => {{ const look = () => {condition} ? done() : setTimeout(look, 50);"
        while True:
            try:
                return self.evaluate(f"new Promise({look} look(); }})")
            except PageLeft:
                continue

    def open(self, address):
        """Go to an address."""
        self.call("Page.navigate", url=address)
        self.wait_for(f"location.href.startsWith({json.dumps(address.partition('#')[0])})")

    def press(self, key, code):
        """Press a key and let it go."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)


@contextmanager
def open_browser(profile, graphics=NO_GPU):
    """A tab of a Chromium whose profile is a folder that is not there yet; `graphics` are options
    of its command line, NO_GPU or SOFTWARE_WEBGPU.
    """
    to_browser, sending = os.pipe()
    receiving, from_browser = os.pipe()
    # The protocol's pipes are the file descriptors 3 and 4.
    redirect = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    command = [find_chromium(), *OPTIONS, *graphics, f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        ["bash", "-c", redirect, "bash", *command],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    with open(sending, "wb") as writes, open(receiving, "rb", buffering=0) as reads:
        try:
            yield Tab(writes, reads)
        finally:
            process.terminate()
            process.wait(timeout=60)


class Quiet(SimpleHTTPRequestHandler):
    """Says nothing of what it serves; the browser has to ask again for what it keeps."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def end_headers(self):
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def serve(folder):
    """The address of a web server of a folder."""
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
