"""Kervan against the official Python SDK, in both formats of the protocol. Names of tests say what must hold."""

import asyncio
import signal
import unittest
import uuid

from centrifuge import ReplyError, StreamPosition, SubscriptionState

from peer import Peer
from server import Relay, Server, token, until


class Promises:
    """What must hold, whatever the format."""

    protobuf = False
    server = None
    count = 0

    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    async def asyncSetUp(self):
        # unittest turns the loop's debug mode on, which complains of waiting for the child.
        asyncio.get_running_loop().set_debug(False)
        self.peers, self.relays = [], []

    async def asyncTearDown(self):
        for peer in self.peers:
            await peer.client.disconnect()
        for relay in self.relays:
            relay.stop()

    def someone(self, name):
        Promises.count += 1
        return f"{name}-{Promises.count}"

    def peer(self, name, url=None, user=None, **options):
        peer = Peer(self.protobuf, url or self.server.url, user or self.someone(name), **options)
        self.peers.append(peer)
        return peer

    async def connected(self, name, **options):
        return await self.peer(name, **options).connect()

    async def relay(self):
        relay = await Relay.start(self.server.port)
        self.relays.append(relay)
        return relay

    async def group(self, creator, *others):
        made = await creator.rpc(
            "room.create", kind="group", client_id=str(uuid.uuid4()), members=list(others), title="A group", public=True)
        return made["room"], f"room:{made['room']}"

    async def refused(self, code, awaitable):
        with self.assertRaises(ReplyError) as caught:
            await awaitable
        self.assertEqual(caught.exception.code, code)

    # Connecting

    async def test_a_good_token_connects_and_brings_the_personal_channel(self):
        ann = await self.connected("ann")
        self.assertTrue(ann.last("connected").client)
        ctx = await until(lambda: ann.last("subscribed"), "server-side subscription")
        self.assertEqual((ctx.channel, ctx.recoverable), (f"#{ann.user}", True))

    async def test_a_forged_token_is_refused_with_3500_for_good(self):
        ann = self.peer("ann", token=token("ann")[:-6] + "forged")
        await ann.client.connect()
        ctx = await until(lambda: ann.last("disconnected"), "disconnected")
        self.assertEqual(ctx.code, 3500)

    async def test_an_expired_token_is_exchanged_for_a_new_one(self):
        user, asked = self.someone("ann"), []

        async def get_token():
            asked.append(1)
            return token(user)

        await self.connected("ann", user=user, token=token(user, -60), get_token=get_token)
        self.assertEqual(len(asked), 1)

    async def test_a_connection_is_refreshed_before_its_token_ends(self):
        user, asked = self.someone("ann"), []

        async def get_token():
            asked.append(1)
            return token(user, 2)

        ann = await self.connected("ann", user=user, token=token(user, 2), get_token=get_token)
        await until(lambda: len(asked) >= 2, "two refreshes")
        await ann.rpc("room.list")
        self.assertEqual(len(ann.of("connecting")), 1, "it never had to connect again")

    async def test_a_connection_whose_token_ended_is_closed_with_3005(self):
        user = self.someone("ann")

        async def get_token():
            await asyncio.Event().wait()  # No answer from the application.

        ann = await self.connected("ann", user=user, token=token(user, 1), get_token=get_token)
        # The server waits 25 s for a late refresh.
        await until(lambda: len(ann.of("connecting")) == 2, "connecting again", 40)
        self.assertEqual(ann.last("connecting").code, 3005)

    async def test_pings_keep_an_idle_connection_alive(self):
        ann = await self.connected("ann")
        # Pauses: two pings and more pass: time is what is tested.
        await asyncio.sleep(2.5)
        self.assertEqual(len(ann.of("connecting")), 1)
        await ann.rpc("room.list")

    # Open channels

    async def test_a_publication_reaches_all_subscribers_with_offset_and_info(self):
        name = self.someone("news")
        ann, bob = await self.connected("ann"), await self.connected("bob")
        hers, his = await ann.channel(name).ready(), await bob.channel(name).ready()
        await hers.publish({"hello": "world", "n": [1, 2.5, None]})
        for channel in (hers, his):
            pub = await channel.got(lambda pub: True)
            self.assertEqual((pub.data, pub.offset), ({"hello": "world", "n": [1, 2.5, None]}, 1))
            self.assertEqual(pub.info.user, ann.user)

    async def test_history_is_read_forwards_backwards_and_from_a_position(self):
        ann = await self.connected("ann")
        channel = await ann.channel(self.someone("news")).ready()
        for n in range(1, 6):
            await channel.publish({"n": n})

        async def offsets(**options):
            return [(pub.offset, pub.data["n"]) for pub in (await channel.history(**options)).publications]

        self.assertEqual(await offsets(limit=2), [(1, 1), (2, 2)])
        self.assertEqual(await offsets(limit=2, reverse=True), [(5, 5), (4, 4)])
        top = await channel.history(limit=0)
        self.assertEqual((top.offset, top.publications), (5, []))
        since = StreamPosition(offset=3, epoch=top.epoch)
        self.assertEqual(await offsets(limit=10, since=since), [(4, 4), (5, 5)])
        await self.refused(112, channel.history(limit=10, since=StreamPosition(offset=3, epoch="other")))

    async def test_presence_and_its_numbers_tell_who_is_there(self):
        name = self.someone("news")
        ann, bob = await self.connected("ann"), await self.connected("bob")
        third = await self.connected("bob", user=bob.user)
        channel = await ann.channel(name).ready()
        await bob.channel(name).ready()
        await third.channel(name).ready()
        presence = await channel.sub.presence()
        users = sorted(info.user for info in presence.clients.values())
        self.assertEqual(users, sorted([ann.user, bob.user, bob.user]))
        stats = await channel.sub.presence_stats()
        self.assertEqual((stats.num_clients, stats.num_users), (3, 2))

    async def test_joins_and_leaves_are_told(self):
        name = self.someone("news")
        ann, bob = await self.connected("ann"), await self.connected("bob")
        channel = await ann.channel(name, join_leave=True).ready()
        his = await bob.channel(name).ready()
        await until(lambda: [ctx for ctx in channel.of("join") if ctx.info.user == bob.user], "join")
        await his.sub.unsubscribe()
        await until(lambda: [ctx for ctx in channel.of("leave") if ctx.info.user == bob.user], "leave")

    async def test_a_protected_channel_takes_a_subscription_token(self):
        name = f"private:{self.someone('news')}"
        ann, bob = await self.connected("ann"), await self.connected("bob")
        without = bob.channel(name)
        await without.sub.subscribe()
        self.assertEqual((await until(lambda: without.last("unsubscribed"), "unsubscribed")).code, 103)
        channel = await ann.channel(name, token=token(ann.user, channel=name)).ready()
        await channel.publish({"n": 1})
        await channel.got(lambda pub: pub.data == {"n": 1})

    async def test_a_namespace_that_is_not_configured_is_unknown(self):
        ann = await self.connected("ann")
        channel = ann.channel("nothing:here")
        await channel.sub.subscribe()
        self.assertEqual((await until(lambda: channel.last("unsubscribed"), "unsubscribed")).code, 102)

    # Rooms

    async def test_two_users_of_a_direct_chat_talk(self):
        ann, bob = await self.connected("ann"), await self.connected("bob")
        made = await ann.rpc("room.create", kind="direct", user=bob.user)
        same = await bob.rpc("room.create", kind="direct", user=ann.user)
        self.assertEqual(same["room"], made["room"], "one chat for a pair")
        name = f"room:{made['room']}"
        hers, his = await ann.channel(name).ready(), await bob.channel(name).ready()
        sent = await ann.rpc("message.send", room=made["room"], client_id="m-1", body="Hello Bob")
        for channel in (hers, his):
            pub = await channel.got(lambda pub: pub.data["type"] == "message")
            self.assertEqual(pub.offset, sent["seq"])
            self.assertEqual(
                [pub.data[key] for key in ("id", "seq", "no", "sender", "body", "client_id", "ts")],
                [sent["id"], sent["seq"], 1, ann.user, "Hello Bob", "m-1", sent["ts"]])
        await his.publish({"body": "Hello Ann", "client_id": "m-2"})
        await hers.got(lambda pub: pub.data["sender"] == bob.user and pub.data["no"] == 2)

    async def test_a_retry_is_answered_with_the_first_message(self):
        ann = await self.connected("ann")
        room, name = await self.group(ann)
        channel = await ann.channel(name).ready()
        first = await ann.rpc("message.send", room=room, client_id="m-1", body="once")
        second = await ann.rpc("message.send", room=room, client_id="m-1", body="once")
        self.assertEqual([first[key] for key in ("id", "seq", "ts")], [second[key] for key in ("id", "seq", "ts")])
        await ann.rpc("message.send", room=room, client_id="m-2", body="end")
        await channel.got(lambda pub: pub.data["body"] == "end")
        self.assertEqual([pub.data["body"] for pub in channel.publications], ["once", "end"])

    async def test_invitations_come_in_the_personal_channel_and_open_the_room(self):
        ann, bob = await self.connected("ann"), await self.connected("bob")
        room = (await ann.rpc("room.create", kind="group", client_id="g", title="closed"))["room"]
        channel = bob.channel(f"room:{room}")
        await channel.sub.subscribe()
        code = (await until(lambda: channel.last("unsubscribed"), "unsubscribed")).code
        self.assertIn(code, (102, 103, 412))
        await ann.rpc("room.invite", room=room, user=bob.user)
        invited = await until(lambda: [pub for pub in bob.personal if pub.data["type"] == "room.invited"], "invitation")
        self.assertEqual(invited[0].data["room"], room)
        await bob.rpc("room.join", room=room)
        await channel.ready()
        await ann.rpc("message.send", room=room, client_id="m", body="welcome")
        await channel.got(lambda pub: pub.data.get("body") == "welcome")

    async def test_a_kicked_member_is_unsubscribed_with_2000_and_sees_nothing_more(self):
        ann, bob = await self.connected("ann"), await self.connected("bob")
        room, name = await self.group(ann, bob.user)
        hers, his = await ann.channel(name).ready(), await bob.channel(name).ready()
        await ann.rpc("message.send", room=room, client_id="m-1", body="before")
        kick = await ann.rpc("room.kick", room=room, user=bob.user)
        await ann.rpc("message.send", room=room, client_id="m-2", body="after")
        self.assertEqual((await until(lambda: his.last("unsubscribed"), "unsubscribed")).code, 2000)
        await hers.got(lambda pub: pub.data.get("body") == "after")
        self.assertTrue(all(pub.offset <= kick["seq"] for pub in his.publications), "nothing above the removal")
        self.assertEqual(his.sub.state, SubscriptionState.UNSUBSCRIBED)
        await self.refused(412, bob.rpc("message.send", room=room, client_id="m-3", body="let me in"))

    async def test_a_muted_chat_is_muted_on_all_devices_of_its_user(self):
        ann, phone = await self.connected("ann"), await self.connected("bob")
        laptop = await self.connected("bob", user=phone.user)
        room, _ = await self.group(ann, phone.user)
        await until(lambda: [pub for pub in phone.personal if pub.data["type"] == "room.joined"], "the room is told of")
        await phone.rpc("room.mute", room=room)
        self.assertEqual(await laptop.rpc("user.mutes"), {"mutes": {room: {}}})
        self.assertEqual(await ann.rpc("user.mutes"), {"mutes": {}})
        await laptop.rpc("room.unmute", room=room)
        self.assertEqual(await phone.rpc("user.mutes"), {"mutes": {}})
        await self.refused(107, phone.rpc("room.mute", room=room, until=1))

    async def test_what_is_read_of_notifications_is_told_to_the_other_devices(self):
        phone = await self.connected("bob")
        laptop = await self.connected("bob", user=phone.user)
        read = "0190a3c2-5f7e-7d1b-8a53-0d6f3c1e9b42"
        await phone.rpc("notification.read", ids=[read])
        await phone.rpc("notification.read", all=True)

        def told(peer):
            return [pub for pub in peer.personal if pub.data["type"] == "notification.read"]

        await until(lambda: len(told(laptop)) == 2 and len(told(phone)) == 2, "both devices hear of it")
        first, second = told(laptop)
        self.assertEqual((first.data["ids"], "up_to" in first.data), ([read], False))
        self.assertGreater(second.data["up_to"], read)
        self.assertEqual((first.offset, second.offset), (1, 2))
        await self.refused(107, phone.rpc("notification.read"))
        await self.refused(106, phone.rpc("notification.read", ids=[read] * 101))

    async def test_errors_of_rpc_have_their_published_codes(self):
        ann = await self.connected("ann")
        await self.refused(104, ann.rpc("no.such.method"))
        # A stranger does not learn which rooms exist.
        await self.refused(412, ann.rpc("message.send", room=str(uuid.uuid4()), client_id="m", body="x"))
        await self.refused(107, ann.rpc("message.send", room="no uuid", body="x"))

    async def test_fifty_messages_at_once_keep_their_order(self):
        ann = await self.connected("ann")
        room, name = await self.group(ann)
        channel = await ann.channel(name).ready()
        sends = [ann.rpc("message.send", room=room, client_id=f"m-{n}", body=str(n)) for n in range(50)]
        seqs = [answer["seq"] for answer in await asyncio.gather(*sends)]
        self.assertEqual(seqs, list(range(seqs[0], seqs[0] + 50)))
        await until(lambda: len(channel.publications) == 50, "50 publications")
        self.assertEqual([pub.data["body"] for pub in channel.publications], [str(n) for n in range(50)])

    # Recovery

    async def recovers(self, missed):
        cable = await self.relay()
        ann, bob = await self.connected("ann"), await self.connected("bob", url=cable.url)
        room, name = await self.group(ann, bob.user)
        channel = await bob.channel(name, recoverable=True, positioned=True).ready()

        def send(n):
            return ann.rpc("message.send", room=room, client_id=f"m-{n}", body=str(n))

        await send(0)
        await channel.got(lambda pub: pub.data["body"] == "0")
        cable.cut()
        await until(lambda: len(bob.of("connecting")) == 2, "the cut")
        for start in range(1, missed + 1, 50):
            await asyncio.gather(*(send(n) for n in range(start, min(start + 50, missed + 1))))
        cable.mend()
        await until(lambda: len(channel.of("subscribed")) == 2, "subscribed again")
        ctx = channel.last("subscribed")
        self.assertEqual((ctx.was_recovering, ctx.recovered), (True, True))
        await send("end")
        await channel.got(lambda pub: pub.data["body"] == "end")
        bodies = [pub.data["body"] for pub in channel.publications]
        self.assertEqual(bodies, [str(n) for n in range(missed + 1)] + ["end"])
        first = channel.publications[0].offset
        self.assertEqual([pub.offset for pub in channel.publications], list(range(first, first + missed + 2)))

    async def test_after_a_cut_ten_missed_messages_arrive_once_and_in_order(self):
        await self.recovers(10)

    async def test_after_a_cut_700_missed_messages_arrive_once_and_in_order(self):
        await self.recovers(700)

    async def test_the_personal_channel_recovers_too(self):
        cable = await self.relay()
        ann, bob = await self.connected("ann"), await self.connected("bob", url=cable.url)
        await until(lambda: bob.last("subscribed"), "the personal channel")
        cable.cut()
        await until(lambda: len(bob.of("connecting")) == 2, "the cut")
        rooms = []
        for n in range(3):
            rooms.append((await ann.rpc("room.create", kind="group", client_id=f"g{n}", title=str(n)))["room"])
            await ann.rpc("room.invite", room=rooms[-1], user=bob.user)
        cable.mend()
        await until(lambda: len(bob.personal) >= 3, "three invitations")
        # Each room has its own partition: they come in any order, but each once.
        self.assertEqual(sorted(pub.data["room"] for pub in bob.personal), sorted(rooms))
        self.assertEqual([pub.offset for pub in bob.personal], [1, 2, 3])
        self.assertTrue(bob.last("subscribed").recovered)

    async def survives(self, how, code):
        ann, bob = await self.connected("ann"), await self.connected("bob")
        room, name = await self.group(ann, bob.user)
        channel = await bob.channel(name, recoverable=True).ready()
        sent = await ann.rpc("message.send", room=room, client_id="m-1", body="before")
        await channel.got(lambda pub: pub.data["body"] == "before")
        status = await self.server.end(how)
        self.server.start()
        if how == signal.SIGTERM:
            self.assertEqual(status, 0)
        await until(lambda: len(bob.of("connecting")) >= 2, "the end")
        self.assertEqual(bob.of("connecting")[1].code, code)
        await until(lambda: len(ann.of("connected")) == 2, "connected again", 15)
        again = await ann.rpc("message.send", room=room, client_id="m-1", body="before")
        self.assertEqual((again["id"], again["seq"]), (sent["id"], sent["seq"]), "the retry finds the message")
        await ann.rpc("message.send", room=room, client_id="m-2", body="after")
        await channel.got(lambda pub: pub.data["body"] == "after")
        self.assertTrue(channel.last("subscribed").recovered)
        self.assertEqual([pub.data["body"] for pub in channel.publications], ["before", "after"])

    async def test_a_drained_server_is_found_again_with_everything(self):
        await self.survives(signal.SIGTERM, 3001)

    async def test_a_killed_server_is_found_again_with_everything(self):
        await self.survives(signal.SIGKILL, 1)


class Json(Promises, unittest.IsolatedAsyncioTestCase):
    protobuf = False


class Protobuf(Promises, unittest.IsolatedAsyncioTestCase):
    protobuf = True


if __name__ == "__main__":
    unittest.main()
