"""Prints what the window's keyboard makes of every key that goes down, and of Escape what is
printed on all places, as JSON lines; ends with Escape.
"""

import json
import os
import time

from worldsim.runtime.window.keyboard import Keyboard
from worldsim.runtime.window.screen import Screen, pygame

screen, keyboard = Screen("keys", (64, 64), 2), Keyboard()
screen.flip()
print(json.dumps(["ready", os.getpid()]), flush=True)
until = time.monotonic() + 120
while time.monotonic() < until:
    for event in pygame.event.get():
        if event.type != pygame.KEYDOWN:
            continue
        print(json.dumps(keyboard.name(event)), flush=True)
        if event.key == pygame.K_ESCAPE:
            print(json.dumps(keyboard.layout()), flush=True)
            raise SystemExit
    time.sleep(0.01)
