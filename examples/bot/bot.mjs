// A bot: TOKEN=… node bot.mjs [URL]. It joins every room that it is invited to, and answers what begins with "!echo ".
//
// Its personal channel tells of invitations; the rooms that it is in already are in `room.list`. Each answer's client id
// follows from the message that it answers: a bot that is started twice, or again, answers once.

import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const url = process.argv[2] ?? 'ws://127.0.0.1:3000/connection/websocket';
const client = new Centrifuge(url, { token: process.env.TOKEN, websocket: WebSocket });
let self;
if (!process.env.TOKEN) {
  console.error('usage: TOKEN=… node bot.mjs [URL]     (kervan token --user bot makes a token)');
  process.exit(2);
}
client.on('error', ({ error }) => console.error(`no connection to ${url}: ${error.message}`));
client.on('disconnected', ({ code, reason }) => {
  console.error(`refused for good: ${reason} (${code}); kervan token check TOKEN says what is wrong with a token`);
  process.exit(1);
});

async function answer(room, { type, sender, seq, body }) {
  if (type !== 'message' || sender === self || !body.startsWith('!echo ')) return;
  await client.rpc('message.send', { room, client_id: `echo-${seq}`, body: body.slice(6), reply_to: seq });
}

function listen(room) {
  const channel = `room:${room}`;
  if (client.getSubscription(channel)) return;
  const subscription = client.newSubscription(channel, { recoverable: true });
  const take = message => answer(room, message).catch(error => console.error(error.message));
  subscription.on('publication', ({ data }) => take(data));
  subscription.on('subscribed', async ({ wasRecovering, recovered }) => {
    if (wasRecovering && recovered) return;
    // What was said before it listened. What it has answered already is answered with the same client id: no harm.
    const { data } = await client.rpc('message.history', { room, limit: 50 });
    for (const message of data.messages) await take({ ...message, type: 'message' });
  });
  subscription.subscribe();
}

client.on('publication', async ({ data }) => {
  if (data.type === 'room.invited') await client.rpc('room.join', { room: data.room });
  if (data.type === 'room.joined') listen(data.room);
});
client.on('subscribed', ({ channel }) => { self ??= channel.slice(1); });
client.on('connected', async () => {
  for (let cursor; ;) {
    const { data } = await client.rpc('room.list', { cursor });
    for (const { room, state } of data.rooms) {
      if (state === 'invited') await client.rpc('room.join', { room });
      listen(room);
    }
    if (!(cursor = data.cursor)) break;
  }
  console.log(`listening as ${self}`);
});
client.connect();
