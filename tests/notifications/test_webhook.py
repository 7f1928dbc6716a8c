"""A real `kervan serve` posts notifications to an address here: each is verified by a library that Kervan does not know, the
address fails and refuses, and the server is killed while it sends."""

import base64
import json
import secrets
import signal
import threading
import unittest
from collections import defaultdict

from standardwebhooks import Webhook, WebhookVerificationError

from harness import PATIENCE, NotificationTest, until
from receiver import Receiver


class Hook(Receiver):
    """An address that verifies what it gets. `answers` are the statuses of the next ones, then 204."""

    def __init__(self, secret):
        self.webhook, self.keys, self.held, self.last = Webhook(secret), defaultdict(set), None, None
        super().__init__()

    def answer(self, _, headers, body):
        said = self.webhook.verify(body, headers)
        data = said["data"]
        status = self.answers.pop(0) if self.answers else 204
        if status < 300 or self.held:
            self.keys[(data["user"], data["room"], data["seq"])].add(headers["webhook-id"])
        self.last = said
        return status, {}, b""

    def hold(self):
        held = self.held
        if held:
            held.wait(PATIENCE)

    def told(self):
        with self.lock:
            return {who for who, _, _ in self.keys}, len(self.keys)


class WebhookTest(NotificationTest):
    def settings(self, folder):
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        (folder / "key").write_text(secret + "\n")
        self.receiver = Hook(secret)
        self.addCleanup(self.receiver.stop)
        return {
            "KERVAN_NOTIFICATIONS__WEBHOOK_SECRET_FILE": str(folder / "key"),
            "KERVAN_NOTIFICATIONS__WEBHOOK_URL": f"{self.receiver.url}/hook",
        }

    def test_a_message_that_nobody_acknowledged_is_posted_and_verified(self):
        [seq] = self.say(self.server.alice)
        until("it is posted", lambda: self.receiver.requests)
        self.assertEqual(self.receiver.wrong, [])
        said = self.receiver.last
        self.assertEqual((said["type"], said["data"]["room"], said["data"]["seq"]), ("notification.message", self.room, seq))
        self.assertNotIn("secret", json.dumps(said))
        listed = self.server.ask("/api/notifications", self.server.bob)["notifications"]
        row = next(one for one in listed if one["id"] == said["data"]["notification"])
        self.assertEqual((row["type"], row["data"]["seq"]), ("message", seq))
        # A body, a time or a key of somebody else's is not verified by the same library.
        with self.assertRaises(WebhookVerificationError):
            Webhook("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()).verify("{}", {})

    def test_what_was_read_or_delivered_is_not_posted(self):
        [read] = self.say(self.server.alice)
        self.server.ask(f"/api/chats/{self.room}/read", self.server.bob, {"seq": read})
        [delivered] = self.say(self.server.alice)
        self.server.ask(f"/api/chats/{self.room}/delivered", self.server.bob, {"seq": delivered})
        [seq] = self.say(self.server.alice)
        until("the last is posted", lambda: self.receiver.requests)
        with self.receiver.lock:
            self.assertEqual({key[2] for key in self.receiver.keys}, {seq})

    def test_what_the_address_refuses_is_dead_until_it_is_replayed(self):
        self.receiver.answers = [400]
        self.say(self.server.alice)

        def dead():
            done = self.server.cli("notifications", "dead", "ls", "-o", "json")
            self.assertEqual(done.returncode, 0, done.stderr)
            return json.loads(done.stdout)["items"]

        [one] = until("it is dead", dead)
        self.assertEqual((one["channel"], one["reason"], one["attempts"]), ("webhook", "the webhook answered 400 Bad Request", 1))
        self.assertEqual(self.server.cli("notifications", "dead", "replay").returncode, 2)
        done = self.server.cli("notifications", "dead", "replay", one["id"], "-y")
        self.assertEqual((done.returncode, done.stdout), (0, "1 are tried again\n"), done.stderr)
        until("it is posted again", lambda: self.receiver.told()[1] == 1)
        until("nothing is dead", lambda: not dead())

    def test_once_nobody_notifies_it_can_be_ended_and_what_comes_later_is_told_again(self):
        self.receiver.answers = [503] * 100
        self.say(self.server.alice)
        until("it was tried", lambda: self.receiver.requests)
        refused = self.server.cli("notifications", "end", "-y")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("this server notifies", refused.stderr)
        ways_out = {name: self.server.settings.pop(name) for name in list(self.server.settings) if "WEBHOOK" in name}
        self.server.kill(signal.SIGTERM)
        self.server.start()
        done = self.server.cli("notifications", "end", "-y")
        said = "256 partitions are let go of, 1 notifications given up\n"
        self.assertEqual((done.returncode, done.stdout), (0, said), done.stderr)
        self.say(self.server.alice)
        self.server.settings |= ways_out
        self.server.kill(signal.SIGTERM)
        self.server.start()
        self.receiver.answers = []
        [seq] = self.say(self.server.alice)
        until("it is posted", lambda: self.receiver.told()[1])
        with self.receiver.lock:
            self.assertEqual({key[2] for key in self.receiver.keys}, {seq}, "only what was said since")

    def test_killed_while_it_sends_everything_comes_under_one_key(self):
        seqs = []
        for _ in range(3):
            self.receiver.held = threading.Event()
            seqs += self.say(self.server.alice, 5)
            before = self.receiver.requests
            until("some are under way", lambda: self.receiver.requests > before)
            self.server.kill()
            self.receiver.held.set()
            self.receiver.held = None
            self.server.start()
        # Claims of the killed end by themselves: see the sender.
        until("all are posted", lambda: self.receiver.told()[1] == len(seqs), patience=300)
        with self.receiver.lock:
            keys = dict(self.receiver.keys)
        self.assertEqual({key[2] for key in keys}, set(seqs))
        self.assertEqual({len(of) for of in keys.values()}, {1}, "one key each")
        self.assertEqual(self.receiver.wrong, [])


if __name__ == "__main__":
    unittest.main()
