"""A real `kervan serve` pushes by Firebase Cloud Messaging to a server here that plays Google's two: PyJWT and cryptography verify
the grant that the service account signed, and what is pushed is what FCM's reference describes."""

import json
import secrets
import time
import unittest
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harness import NotificationTest, until
from receiver import Receiver

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


class Google(Receiver):
    """Exchanges grants for access tokens, and takes pushes. `answers` are (status, headers, body) of the next pushes."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.grants, self.pushes, self.tokens = [], [], set()
        super().__init__()

    def answer(self, path, headers, body):
        take = self.exchange if path == "/token" else self.push
        status, more, said = take(path, headers, body)
        return status, more, json.dumps(said).encode()

    def account(self):
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": "tea-house",
            "private_key_id": "key-7",
            "private_key": private.decode(),
            "client_email": "push@tea-house.iam.gserviceaccount.com",
            "token_uri": f"{self.url}/token",
        }

    def exchange(self, _, headers, body):
        form = parse_qs(body.decode(), strict_parsing=True)
        assert headers["content-type"] == "application/x-www-form-urlencoded", headers["content-type"]
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"], form
        [assertion] = form["assertion"]
        assert jwt.get_unverified_header(assertion) == {"typ": "JWT", "alg": "RS256", "kid": "key-7"}
        claims = jwt.decode(
            assertion,
            self.key.public_key(),
            algorithms=["RS256"],
            audience=f"{self.url}/token",
            issuer="push@tea-house.iam.gserviceaccount.com",
            options={"require": ["iat", "exp", "aud", "iss"]},
        )
        assert claims["scope"] == SCOPE and claims["exp"] - claims["iat"] <= 3600, claims
        self.grants.append(claims)
        token = secrets.token_urlsafe(24)
        self.tokens.add(token)
        # A minute more than the minute that a token is not used in any more: it is good for two seconds.
        return 200, {}, {"access_token": token, "expires_in": 62, "token_type": "Bearer"}

    def push(self, path, headers, body):
        assert path == "/v1/projects/tea-house/messages:send", path
        assert headers["authorization"].removeprefix("Bearer ") in self.tokens, "an access token that was given"
        assert headers["content-type"] == "application/json"
        message = json.loads(body)["message"]
        self.pushes.append(message)
        if self.answers:
            return self.answers.pop(0)
        return 200, {}, {"name": f"projects/tea-house/messages/{len(self.pushes)}"}


def error(status, code):
    detail = {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}
    return {"error": {"code": status, "message": "as FCM says it", "status": "X", "details": [detail]}}


class FcmTest(NotificationTest):
    def settings(self, folder):
        self.google = Google()
        self.addCleanup(self.google.stop)
        (folder / "account.json").write_text(json.dumps(self.google.account()))
        return {
            "PUSH_NOTIFICATION_KEY": str(folder / "account.json"),
            "KERVAN_NOTIFICATIONS__FCM_URL": self.google.url,
        }

    def setUp(self):
        super().setUp()
        self.know("phone", "token-of-the-phone")

    def know(self, device, token):
        body = {"platform": "android", "push_token": token}
        self.server.ask(f"/api/users/me/devices/{device}", self.server.bob, body, "PUT")

    def pushed(self, count):
        until(f"{count} are pushed", lambda: len(self.google.pushes) >= count)
        self.assertEqual(self.google.wrong, [])
        return self.google.pushes[-1]

    def test_a_message_is_pushed_by_a_token_that_a_signed_grant_was_exchanged_for(self):
        [seq] = self.say(self.server.alice)
        message = self.pushed(1)
        self.assertEqual(message["token"], "token-of-the-phone")
        self.assertEqual(message["notification"]["title"], "New message")
        self.assertTrue(message["notification"]["body"].startswith("alice wrote"), message)
        self.assertNotIn("secret", json.dumps(message))
        data = message["data"]
        self.assertTrue(all(isinstance(value, str) for value in data.values()), "FCM takes texts only")
        self.assertEqual((data["type"], data["room"], data["seq"], data["by"]), ("notification.message", self.room, str(seq), "alice"))
        listed = self.server.ask("/api/notifications", self.server.bob)["notifications"]
        self.assertIn(data["notification"], [one["id"] for one in listed])
        # Of one room the newest replaces the one before; nothing is kept for longer than `expiry`.
        self.assertEqual((message["android"]["collapse_key"], message["android"]["notification"]["tag"]), (self.room, self.room))
        self.assertTrue(86_000 < int(message["android"]["ttl"].removesuffix("s")) <= 86_400, message)
        self.assertEqual(message["apns"]["headers"]["apns-collapse-id"], self.room)
        self.assertTrue(86_000 < int(message["apns"]["headers"]["apns-expiration"]) - time.time() <= 86_400)
        self.assertEqual(message["webpush"]["headers"]["Topic"], self.room.replace("-", ""))
        # The key and the tokens stay out of the log.
        for secret in ["token-of-the-phone", "PRIVATE KEY", *self.google.tokens]:
            self.assertNotIn(secret, self.server.log())

    def test_a_token_is_used_until_a_minute_before_it_ends(self):
        self.say(self.server.alice)
        self.pushed(1)
        self.assertEqual(len(self.google.grants), 1)
        self.say(self.server.alice, 5)
        self.pushed(6)
        self.assertEqual(len(self.google.grants), 2, "five at once ask for one token, as the first is not used any more")

    def test_what_fcm_can_not_take_now_comes_later_as_it_asks(self):
        self.google.answers = [(429, {"retry-after": "4"}, error(429, "QUOTA_EXCEEDED"))]
        self.say(self.server.alice)
        self.pushed(1)
        refused = time.monotonic()
        self.pushed(2)
        self.assertGreater(time.monotonic() - refused, 3.5, "not before it may")
        first, second = self.google.pushes
        self.assertEqual(first["data"], second["data"], "the same one")
        self.assertEqual(first["data"]["id"], second["data"]["id"], "under one id")

    def test_a_token_that_leads_nowhere_is_taken_away_and_nobody_has_to_look(self):
        self.know("tablet", "token-of-the-tablet")
        self.google.answers = [(404, {}, error(404, "UNREGISTERED"))]
        self.say(self.server.alice)
        self.pushed(2)
        [dead] = [one["token"] for one in self.google.pushes][:1]
        until("the log says so", lambda: "a push token leads nowhere and is taken away" in self.server.log())
        self.say(self.server.alice, 2)
        self.pushed(4)
        later = {one["token"] for one in self.google.pushes[2:]}
        self.assertEqual(later, {"token-of-the-phone", "token-of-the-tablet"} - {dead})
        done = self.server.cli("notifications", "dead", "ls", "-o", "json")
        self.assertEqual(json.loads(done.stdout)["items"], [])
        # Named again, it is pushed to again, also by a server that has read all of this from its journal.
        self.server.kill()
        self.server.start()
        self.know("phone", "token-of-the-phone-2")
        self.know("tablet", "token-of-the-tablet-2")
        self.say(self.server.alice)
        self.pushed(6)
        self.assertEqual({one["token"] for one in self.google.pushes[4:]}, {"token-of-the-phone-2", "token-of-the-tablet-2"})

    def test_who_signs_out_is_not_pushed_to(self):
        self.know("tablet", "token-of-the-tablet")
        self.server.ask("/api/auth/logout", self.server.bob, {"device": "phone"})
        self.server.bob = self.server.sign_in("bob")
        self.say(self.server.alice)
        self.assertEqual(self.pushed(1)["token"], "token-of-the-tablet")
        self.server.ask("/api/auth/logout", self.server.bob, {"all": True})
        self.server.bob = self.server.sign_in("bob")
        [seq] = self.say(self.server.alice)

        def noticed():
            listed = self.server.ask("/api/notifications", self.server.bob)["notifications"]
            return any(one["data"].get("seq") == seq for one in listed)

        until("it is in the list", noticed)
        self.assertEqual(len(self.google.pushes), 1)


if __name__ == "__main__":
    unittest.main()
