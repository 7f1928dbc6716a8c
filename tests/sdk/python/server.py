"""A `kervan serve` of its own in a temporary folder, tokens, and a TCP relay that can be cut."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

KEY = "the key of a back end, long enough for a test"
SECRET = "the secret of a test run, long enough for HS256"
ROOT = pathlib.Path(__file__).resolve().parents[3]
# How long a server may take to start. On a Kafka it makes topics first.
START_SECONDS = float(os.environ.get("TEST_START_SECONDS") or 20)
BINARY = os.environ.get("KERVAN_BIN") or str(ROOT / "target/release/kervan")

CONFIG = f"""
[server]
admin_port = 0
ping_interval = "1s"
pong_timeout = "500ms"
[auth]
hmac_secret = "{SECRET}"
[api]
key = "{KEY}"
[limits]
messages_per_minute = 0
changes_per_minute = 0
questions_per_minute = 0
connections_per_address = 0
[[channels]]
namespace = ""
[[channels]]
namespace = "private"
token_required = true
"""


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(user: str, seconds: int = 3600, **claims) -> str:
    """A connection token, or with `channel` a subscription token."""
    now = int(time.time())
    payload = {"sub": user, "iat": now, "exp": now + seconds, **claims}
    head = ".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, payload))
    return f"{head}.{_base64url(hmac.new(SECRET.encode(), head.encode(), hashlib.sha256).digest())}"


async def until(fits, what: str, seconds: float = 10):
    """Waits until `fits()` is true; `what` says what was missed."""
    end = time.monotonic() + seconds
    while True:
        value = fits()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        # Pauses: between looks, within a bound.
        await asyncio.sleep(0.005)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """The child. Ends only what it started."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kervan-sdk-"))
        (self.folder / "kervan.toml").write_text(CONFIG)
        self.port = _free_port()
        self.url = f"ws://127.0.0.1:{self.port}/connection/websocket"
        self.start()

    def log(self) -> str:
        return "\n".join((self.folder / "log").read_text().splitlines()[-20:])

    def start(self):
        command = [BINARY, "serve", "--config", self.folder / "kervan.toml",
                   "--data-dir", self.folder / "data", "--port", str(self.port)]
        with open(self.folder / "log", "ab") as log:
            # Only what is said here configures the child: Kervan reads its environment.
            env = {"PATH": os.environ["PATH"]}
            self.child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1):
                    return
            except OSError:
                if self.child.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{BINARY} is not ready ({self.child.poll()}): {self.log()}") from None
                # Pauses: between looks, within a bound.
                time.sleep(0.02)

    async def end(self, how: signal.Signals):
        """Ends the child with the signal and waits for its end."""
        self.child.send_signal(how)
        return await asyncio.get_running_loop().run_in_executor(None, self.child.wait)

    def stop(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Relay:
    """A TCP relay to the server's port: `cut` breaks what runs through it and lets nobody in until `mend`."""

    @classmethod
    async def start(cls, port: int) -> "Relay":
        relay = cls()
        relay.broken, relay.writers, relay.tasks, relay.upstream = False, set(), set(), port
        relay.server = await asyncio.start_server(relay._relay, "127.0.0.1", 0)
        relay.url = f"ws://127.0.0.1:{relay.server.sockets[0].getsockname()[1]}/connection/websocket"
        return relay

    async def _relay(self, reader, writer):
        if self.broken:
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        self.writers |= {writer, up_writer}
        for source, target in ((reader, up_writer), (up_reader, writer)):
            task = asyncio.create_task(self._pump(source, target))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _pump(self, source, target):
        try:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()
            self.writers.discard(target)

    def cut(self):
        self.broken = True
        for writer in list(self.writers):
            writer.transport.abort()
        self.writers.clear()

    def mend(self):
        self.broken = False

    def stop(self):
        self.cut()
        self.server.close()
