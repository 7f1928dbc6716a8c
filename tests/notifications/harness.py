"""What the tests of notifications share: waiting, a real `kervan serve` over a folder of its own, and two people in a chat."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

KERVAN = os.environ["KERVAN_BIN"]
PATIENCE = 60


def until(what, holds, patience=PATIENCE):
    """Looks again until it holds; gives what it found."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.05)  # Pauses: between two looks at another process, which tells nobody when it changes
    raise AssertionError(f"not in {patience} s: {what}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server over a folder. `settings` are what its environment says besides."""

    def __init__(self, folder, after="2s"):
        self.folder, self.port = Path(folder), free_port()
        self.settings = {
            "PATH": os.environ["PATH"],
            "KERVAN_SERVER__ADMIN_PORT": "0",
            "KERVAN_NOTIFICATIONS__AFTER": after,
            "KERVAN_NOTIFICATIONS__ATTEMPTS": "3",
            "KERVAN_LIMITS__MESSAGES_PER_MINUTE": "0",
        }
        self.process = None

    def start(self):
        log = open(self.folder / "log", "ab")
        command = [KERVAN, "serve", "--port", str(self.port), "--data-dir", str(self.folder / "data")]
        self.process = subprocess.Popen(command, env=self.settings, cwd=self.folder, stdout=log, stderr=log)
        log.close()

        def ready():
            if self.process.poll() is not None:
                raise AssertionError((self.folder / "log").read_text())
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz").status == 200
            except OSError:
                return False

        until("the server is ready", ready)
        self.alice, self.bob = self.sign_in("alice"), self.sign_in("bob")

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(PATIENCE)

    def ask(self, path, token=None, body=None, method=None):
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        answer = urllib.request.urlopen(request).read()
        return json.loads(answer) if answer else None

    def sign_in(self, user):
        return self.ask("/api/auth/development", body={"user": user})["access_token"]

    def cli(self, *arguments):
        command = [KERVAN, *arguments, "--data-dir", str(self.folder / "data")]
        done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, cwd=self.folder, capture_output=True, text=True)
        return done

    def log(self):
        return (self.folder / "log").read_text()


class NotificationTest(unittest.TestCase):
    """A chat of Alice and Bob on a server that begins to notify. `settings` is called with the folder, and says how."""

    def settings(self, folder):
        raise NotImplementedError

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.server = Server(folder.name)
        # What is said while notifications are off notifies nobody later: a first start makes a room and says something.
        self.server.start()
        self.addCleanup(lambda: self.server.process.poll() is None and self.server.kill())
        self.server.kill(signal.SIGTERM)
        self.server.settings |= self.settings(self.server.folder)
        self.server.start()
        chats = self.server.ask("/api/chats", self.server.bob)
        self.room = (chats.get("rooms") or chats["chats"])[0]
        self.room = self.room.get("id") or self.room["room"]

    def say(self, token, count=1):
        sent = [self.server.ask(f"/api/chats/{self.room}/messages", token, {"body": f"a secret {n}"}) for n in range(count)]
        return [one["seq"] for one in sent]
