"""A real `kervan serve` pushes to browsers through a push service here: http_ece decrypts what comes as the browser would, PyJWT
verifies who sent it."""

import base64
import json
import os
import subprocess
import time
import unittest

import http_ece
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness import KERVAN, NotificationTest, until
from receiver import Receiver

SUBJECT = "mailto:push@tea.example"


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def data(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Browser:
    """A subscription at the push service, with keys of its own."""

    def __init__(self, service, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = os.urandom(16)
        self.path = f"/push/{name}"
        point = self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        keys = {"p256dh": text(point), "auth": text(self.auth)}
        self.subscription = {"endpoint": service.url + self.path, "expirationTime": None, "keys": keys}

    def read(self, body):
        return json.loads(http_ece.decrypt(body, private_key=self.key, auth_secret=self.auth, version="aes128gcm"))


class PushService(Receiver):
    """Takes pushes whose sender it can verify. `answers` are (status, headers) of the next ones."""

    refusal = 403

    def __init__(self):
        self.pushes, self.public = [], None
        super().__init__()

    def answer(self, path, headers, body):
        self.verify(headers)
        status, more = self.answers.pop(0) if self.answers else (201, {})
        self.pushes.append((path, headers, body, status))
        return status, more, b""

    def verify(self, headers):
        kind, said = headers["authorization"].split(" ", 1)
        assert kind == "vapid", kind
        parts = dict(part.strip().split("=", 1) for part in said.split(","))
        assert parts["k"] == self.public, "the key that the page subscribed with"
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data(parts["k"]))
        claims = jwt.decode(parts["t"], key, algorithms=["ES256"], audience=self.url, options={"require": ["exp", "aud"]})
        assert claims["sub"] == SUBJECT and claims["exp"] - time.time() <= 24 * 3600, claims


class WebPushTest(NotificationTest):
    def settings(self, folder):
        made = subprocess.run([KERVAN, "vapid"], capture_output=True, text=True, check=True, cwd=folder).stdout
        key = made.split('vapid_key = "')[1].split('"')[0]
        (folder / "vapid").write_text(key + "\n")
        self.service = PushService()
        self.addCleanup(self.service.stop)
        return {
            "KERVAN_NOTIFICATIONS__VAPID_KEY_FILE": str(folder / "vapid"),
            "KERVAN_NOTIFICATIONS__VAPID_SUBJECT": SUBJECT,
            "KERVAN_NOTIFICATIONS__WEB_PUSH_ANYWHERE": "true",
        }

    def setUp(self):
        super().setUp()
        self.service.public = self.server.ask("/api/config")["web_push_key"]
        self.browser = Browser(self.service, "of-bob")
        self.know("browser", self.browser)

    def know(self, device, browser):
        body = {"platform": "web", "push_token": json.dumps(browser.subscription)}
        self.server.ask(f"/api/users/me/devices/{device}", self.server.bob, body, "PUT")

    def pushed(self, count):
        until(f"{count} are pushed", lambda: len(self.service.pushes) >= count or self.service.wrong)
        self.assertEqual(self.service.wrong, [])
        return self.service.pushes[-1]

    def test_only_the_browser_can_read_what_is_pushed_and_it_is_told_by_the_server_of_the_page(self):
        [seq] = self.say(self.server.alice)
        path, headers, body, _ = self.pushed(1)
        self.assertEqual(path, self.browser.path)
        self.assertEqual((headers["content-encoding"], headers["urgency"]), ("aes128gcm", "high"))
        self.assertEqual(headers["topic"], self.room.replace("-", ""), "of one room the newest stays")
        self.assertTrue(86_000 < int(headers["ttl"]) <= 86_400, headers)
        self.assertNotIn(self.room.encode(), body)
        said = self.browser.read(body)
        self.assertEqual(said["title"], "New message")
        self.assertTrue(said["body"].startswith("alice wrote"), said)
        self.assertEqual((said["data"]["room"], said["data"]["seq"], said["data"]["by"]), (self.room, seq, "alice"))
        self.assertNotIn("secret", json.dumps(said))
        with self.assertRaises(Exception):
            Browser(self.service, "of-eve").read(body)
        # Each has a key and a salt of its own.
        self.say(self.server.alice)
        other = self.pushed(2)[2]
        self.assertNotEqual(body[:16], other[:16])
        self.assertNotEqual(body[21:86], other[21:86])
        for secret in [self.browser.subscription["keys"]["auth"], self.browser.path]:
            self.assertNotIn(secret, self.server.log())

    def test_a_service_that_takes_nothing_now_is_asked_again_as_it_says(self):
        self.service.answers = [(429, {"retry-after": "4"})]
        self.say(self.server.alice)
        self.pushed(1)
        refused = time.monotonic()
        self.pushed(2)
        self.assertGreater(time.monotonic() - refused, 3.5, "not before it may")
        first, second = (self.browser.read(body) for _, _, body, _ in self.service.pushes)
        self.assertEqual(first, second, "the same one, under one id")

    def test_a_subscription_that_is_over_is_taken_away(self):
        for status in [410, 404]:
            before = len(self.service.pushes)
            self.service.answers = [(status, {})]
            self.say(self.server.alice)
            self.pushed(before + 1)
            until("the log says so", lambda: f"answered {status}" in self.server.log())
            other = Browser(self.service, f"of-bob-after-{status}")
            # Nobody is pushed to until the browser subscribes anew.
            [seq] = self.say(self.server.alice)

            def noticed():
                listed = self.server.ask("/api/notifications", self.server.bob)["notifications"]
                return any(one["data"].get("seq") == seq for one in listed)

            until("it is in the list", noticed)
            self.assertEqual(len(self.service.pushes), before + 1)
            self.know("browser", other)
            self.say(self.server.alice)
            self.assertEqual(self.pushed(before + 2)[0], other.path)
        done = self.server.cli("notifications", "dead", "ls", "-o", "json")
        self.assertEqual(json.loads(done.stdout)["items"], [])

    def test_a_subscription_into_the_servers_network_is_refused_where_that_is_not_allowed(self):
        self.server.kill()
        del self.server.settings["KERVAN_NOTIFICATIONS__WEB_PUSH_ANYWHERE"]
        self.server.start()
        with self.assertRaises(Exception) as refused:
            self.know("browser", self.browser)
        self.assertEqual(refused.exception.code, 400)
        # What was named while it was allowed is not asked any more either.
        self.say(self.server.alice)
        until("it is taken away", lambda: "a push token leads nowhere and is taken away" in self.server.log())
        self.assertEqual(self.service.pushes, [])


if __name__ == "__main__":
    unittest.main()
