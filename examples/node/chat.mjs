// A direct chat in a terminal: TOKEN=… node chat.mjs USER [URL]. Lines that you type are sent; Ctrl-D leaves.
//
// What to copy from here: every message has a client id and stays in `outbox` until the server has answered, and what
// is left there after a lost connection is sent again. So nothing is lost and nothing appears twice.

import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const [peer, url = 'ws://127.0.0.1:3000/connection/websocket'] = process.argv.slice(2);
if (!peer || !process.env.TOKEN) {
  console.error('usage: TOKEN=… node chat.mjs USER [URL]     (kervan token --user alice makes a token)');
  process.exit(2);
}
const client = new Centrifuge(url, { token: process.env.TOKEN, websocket: WebSocket });
const outbox = new Map(); // client id -> body

// A page of history may hold what came live in the meantime: the seq tells.
const shown = new Set();
const show = ({ seq, sender, body }) => {
  if (shown.has(seq)) return;
  shown.add(seq);
  console.log(`${seq}\t${sender}: ${body}`);
};

async function flush() {
  for (const [client_id, body] of outbox) {
    try {
      await client.rpc('message.send', { room: room.room, client_id, body });
    } catch (error) {
      // Perhaps it is in, perhaps not: it stays in the outbox, and the same client id makes the repetition harmless.
      // Codes that are not temporary do not get better by trying again.
      if (error.code >= 100 && !error.temporary) console.error(`not sent: ${error.message}`);
      else return;
    }
    outbox.delete(client_id);
  }
}

// What is wrong is said; what heals by itself (no server yet, a lost connection) is tried again by the SDK.
client.on('connecting', ({ code, reason }) => code !== 0 && console.error(`connecting again: ${reason}`));
client.on('error', ({ error }) => console.error(`no connection to ${url}: ${error.message}`));
client.on('disconnected', ({ code, reason }) => {
  if (code === 0) return; // By disconnect() below.
  console.error(`refused for good: ${reason} (${code}); kervan token check TOKEN says what is wrong with a token`);
  process.exit(1);
});
client.connect();
await client.ready();
const { data: room } = await client.rpc('room.create', { kind: 'direct', user: peer });

const chat = client.newSubscription(room.channel, { recoverable: true });
chat.on('publication', ({ data }) => data.type === 'message' && show(data));
chat.on('subscribed', async ({ wasRecovering, recovered }) => {
  // The first time, and whenever the server could not give everything that was missed.
  if (!wasRecovering || !recovered) {
    const { data } = await client.rpc('message.history', { room: room.room, limit: 20 });
    data.messages.forEach(show);
  }
  await flush();
});
chat.subscribe();
await chat.ready();

for await (const body of createInterface({ input: process.stdin })) {
  outbox.set(randomUUID(), body);
  await flush();
}
client.disconnect();
