"""A direct chat in a terminal: TOKEN=… python chat.py USER [URL]. Lines that you type are sent; Ctrl-D leaves."""

import asyncio
import os
import sys
import uuid

from centrifuge import CentrifugeError, Client, ClientEventHandler, ReplyError, SubscriptionEventHandler


# A page of history may hold what came live in the meantime: the seq tells.
shown = set()


def show(message):
    if message["seq"] in shown:
        return
    shown.add(message["seq"])
    print(f"{message['seq']}\t{message['sender']}: {message['body']}", flush=True)


class Connection(ClientEventHandler):
    """Says what is wrong. What heals by itself (no server yet, a lost connection) is tried again by the SDK."""

    async def on_connecting(self, ctx):
        if ctx.code:
            print(f"connecting again: {ctx.reason}", file=sys.stderr)

    async def on_error(self, ctx):
        print(f"no connection: {ctx.error}", file=sys.stderr)

    async def on_disconnected(self, ctx):
        if ctx.code:
            hint = "kervan token check TOKEN says what is wrong with a token"
            print(f"refused for good: {ctx.reason} ({ctx.code}); {hint}", file=sys.stderr)
            os._exit(1)  # A thread may wait for a line.


class Room(SubscriptionEventHandler):
    """Shows what happens in the room."""

    async def on_publication(self, ctx):
        if ctx.pub.data["type"] == "message":
            show(ctx.pub.data)


async def send(client, room, body):
    """Sends until the server has answered. The client id makes the repetitions harmless."""
    message = {"room": room, "client_id": str(uuid.uuid4()), "body": body}
    while True:
        try:
            return await client.rpc("message.send", message)
        except ReplyError as error:
            if not error.temporary:
                raise
        except CentrifugeError:
            pass  # Not connected, or no answer in time: perhaps it is in.
        await asyncio.sleep(0.5)


async def main():
    if len(sys.argv) < 2 or not os.environ.get("TOKEN"):
        sys.exit("usage: TOKEN=… python chat.py USER [URL]     (kervan token --user alice makes a token)")
    peer = sys.argv[1]
    url = sys.argv[2] if len(sys.argv) > 2 else "ws://127.0.0.1:3000/connection/websocket"
    client = Client(url, token=os.environ["TOKEN"], events=Connection())
    await client.connect()
    await client.ready()
    room = (await client.rpc("room.create", {"kind": "direct", "user": peer})).data
    chat = client.new_subscription(room["channel"], events=Room(), recoverable=True)
    await chat.subscribe()
    await chat.ready()
    # After the subscription has begun, so that nothing falls between the two.
    history = await client.rpc("message.history", {"room": room["room"], "limit": 20})
    for message in history.data["messages"]:
        show(message)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await send(client, room["room"], line.rstrip("\n"))
    await client.disconnect()


asyncio.run(main())
