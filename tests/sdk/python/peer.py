"""A user of the official SDK that keeps everything it is told."""

import json
from types import SimpleNamespace

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from server import token, until


class _Log:
    def __init__(self):
        self.events = []

    def of(self, event):
        return [entry for entry in self.events if entry.event == event]

    def last(self, event):
        found = self.of(event)
        return found[-1] if found else None

    def keep(self, event, ctx):
        self.events.append(SimpleNamespace(event=event, **vars(ctx)))


class Channel(_Log):
    def __init__(self, peer, name, **options):
        super().__init__()
        self.peer, self.name, self.publications = peer, name, []
        log = self

        class Events(SubscriptionEventHandler):
            async def on_subscribing(self, ctx):
                log.keep("subscribing", ctx)

            async def on_subscribed(self, ctx):
                log.keep("subscribed", ctx)

            async def on_unsubscribed(self, ctx):
                log.keep("unsubscribed", ctx)

            async def on_error(self, ctx):
                log.keep("error", ctx)

            async def on_join(self, ctx):
                log.keep("join", ctx)

            async def on_leave(self, ctx):
                log.keep("leave", ctx)

            async def on_publication(self, ctx):
                log.publications.append(peer.decoded(ctx.pub))

        self.sub = peer.client.new_subscription(name, events=Events(), **options)

    async def ready(self):
        await self.sub.subscribe()
        await self.sub.ready(10)
        return self

    async def got(self, fits, what="a publication"):
        found = await until(lambda: [pub for pub in self.publications if fits(pub)], f"{what} in {self.name}")
        return found[0]

    async def publish(self, data):
        return await self.sub.publish(self.peer.encode(data))

    async def history(self, **options):
        page = await self.sub.history(**options)
        return SimpleNamespace(
            publications=[self.peer.decoded(pub) for pub in page.publications], offset=page.offset, epoch=page.epoch)


class Peer(_Log):
    def __init__(self, protobuf, url, user, **options):
        super().__init__()
        self.protobuf, self.user, self.personal = protobuf, user, []
        log = self

        class Events(ClientEventHandler):
            async def on_connecting(self, ctx):
                log.keep("connecting", ctx)

            async def on_connected(self, ctx):
                log.keep("connected", ctx)

            async def on_disconnected(self, ctx):
                log.keep("disconnected", ctx)

            async def on_error(self, ctx):
                log.keep("error", ctx)

            async def on_subscribed(self, ctx):
                log.keep("subscribed", ctx)

            async def on_unsubscribed(self, ctx):
                log.keep("unsubscribed", ctx)

            async def on_publication(self, ctx):
                log.personal.append(log.decoded(ctx.pub))

        options = {"token": token(user), "min_reconnect_delay": 0.02, "max_reconnect_delay": 0.2, **options}
        self.client = Client(url, events=Events(), use_protobuf=protobuf, proxy=None, **options)

    def encode(self, value):
        return json.dumps(value).encode() if self.protobuf else value

    def decode(self, value):
        return json.loads(value) if self.protobuf and isinstance(value, bytes) else value

    def decoded(self, pub):
        return SimpleNamespace(data=self.decode(pub.data), offset=pub.offset, info=pub.info)

    async def connect(self):
        await self.client.connect()
        await self.client.ready(10)
        return self

    def channel(self, name, **options):
        return Channel(self, name, **options)

    async def rpc(self, method, **data):
        return self.decode((await self.client.rpc(method, self.encode(data))).data)
