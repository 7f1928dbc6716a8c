"""Kervan against the official client of the server API, PyPI `cent`: an existing back end works unchanged."""

import unittest

import cent

from peer import Peer
from server import KEY, Server, until


class BackEnd(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    async def asyncSetUp(self):
        self.api = cent.AsyncClient(f"http://127.0.0.1:{self.server.port}/api", KEY)
        self.peers = []

    async def asyncTearDown(self):
        await self.api.close()
        for peer in self.peers:
            await peer.client.disconnect()

    async def connected(self, user):
        peer = Peer(False, self.server.url, user)
        self.peers.append(peer)
        return await peer.connect()

    async def test_a_publish_reaches_subscribers_and_stands_in_history(self):
        ann = await self.connected("ann-1")
        news = await ann.channel("news-1").ready()
        done = await self.api.publish(cent.PublishRequest(channel="news-1", data={"n": 1}, idempotency_key="k"))
        again = await self.api.publish(cent.PublishRequest(channel="news-1", data={"n": 1}, idempotency_key="k"))
        self.assertEqual((done.offset, again.offset), (1, 1))
        seen = await news.got(lambda pub: pub.data == {"n": 1})
        self.assertEqual((seen.offset, seen.info, len(news.publications)), (1, None, 1))
        page = await self.api.history(cent.HistoryRequest(channel="news-1", limit=10))
        self.assertEqual(([p.data for p in page.publications], page.offset, page.epoch), ([{"n": 1}], 1, done.epoch))

    async def test_a_broadcast_answers_for_each_channel(self):
        done = await self.api.broadcast(cent.BroadcastRequest(channels=["b-1", "b-2", "off:x"], data=1))
        self.assertEqual([r.error.code if r.error else r.result.offset for r in done.responses], [1, 1, 102])

    async def test_connections_are_subscribed_refreshed_unsubscribed_and_closed(self):
        bob = await self.connected("bob-2")
        await self.api.subscribe(cent.SubscribeRequest(user="bob-2", channel="news-2", data={"hello": 1}))
        await until(lambda: any(e.channel == "news-2" for e in bob.of("subscribed")), "a server-side subscription")
        await self.api.publish(cent.PublishRequest(channel="news-2", data=5))
        await until(lambda: [pub.data for pub in bob.personal] == [5], "its publication")
        present = await self.api.presence(cent.PresenceRequest(channel="news-2"))
        self.assertEqual([c.user for c in present.presence.values()], ["bob-2"])
        stats = await self.api.presence_stats(cent.PresenceStatsRequest(channel="news-2"))
        self.assertEqual((stats.num_clients, stats.num_users), (1, 1))
        named = await self.api.channels(cent.ChannelsRequest(pattern="news-2"))
        self.assertEqual(named.channels["news-2"].num_clients, 1)
        await self.api.refresh(cent.RefreshRequest(user="bob-2", expire_at=4_000_000_000))
        await self.api.unsubscribe(cent.UnsubscribeRequest(user="bob-2", channel="news-2"))
        await until(lambda: any(e.channel == "news-2" for e in bob.of("unsubscribed")), "the end of it")
        await self.api.disconnect(
            cent.DisconnectRequest(user="bob-2", disconnect=cent.Disconnect(code=4501, reason="moved house")))
        gone = await until(lambda: bob.last("disconnected"), "the goodbye")
        self.assertEqual((gone.code, gone.reason), (4501, "moved house"))

    async def test_a_batch_and_the_nodes(self):
        done = await self.api.batch(cent.BatchRequest(requests=[
            cent.PublishRequest(channel="c-1", data=1), cent.HistoryRequest(channel="c-1", limit=1), cent.InfoRequest()]))
        published, page, info = done.replies
        self.assertEqual((published.offset, page.publications[0].data, len(info.nodes)), (1, 1, 1))

    async def test_a_bad_call_of_a_batch_spoils_no_other(self):
        # This client has no word for an error among the replies; what matters is that the others are done.
        with self.assertRaises(KeyError):
            await self.api.batch(cent.BatchRequest(requests=[
                cent.PublishRequest(channel="d-1", data=1), cent.PublishRequest(channel="", data=1),
                cent.PublishRequest(channel="d-1", data=3, idempotency_key="x" * 65),
                cent.PublishRequest(channel="d-1", data=2)]))
        page = await self.api.history(cent.HistoryRequest(channel="d-1", limit=10))
        self.assertEqual([p.data for p in page.publications], [1, 2])

    async def test_what_is_odd_is_answered_as_the_reference_does(self):
        for request, call in [
                (cent.SubscribeRequest(user="ann", channel="e-1", client="client"), self.api.subscribe),
                (cent.UnsubscribeRequest(user="ann", channel="e-1", client="client"), self.api.unsubscribe),
                (cent.DisconnectRequest(user="ann", client="client"), self.api.disconnect),
                (cent.RefreshRequest(user="ann", client="client"), self.api.refresh)]:
            await call(request)
        done = await self.api.publish(cent.PublishRequest(channel="e-1", data=1, idempotency_key="", tags={}))
        self.assertEqual(done.offset, 1)

    async def test_a_refusal_is_an_error_with_its_number_and_a_wrong_key_is_none_of_ours(self):
        with self.assertRaises(cent.CentApiResponseError) as caught:
            await self.api.publish(cent.PublishRequest(channel="off:x", data=1))
        self.assertEqual(caught.exception.code, 102)
        stranger = cent.AsyncClient(f"http://127.0.0.1:{self.server.port}/api", "another key")
        with self.assertRaises(cent.CentUnauthorizedError):
            await stranger.info(cent.InfoRequest())
        await stranger.close()


if __name__ == "__main__":
    unittest.main()
