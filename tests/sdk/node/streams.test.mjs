// Kervan against the official JavaScript SDK where no WebSocket gets through: HTTP streaming and server-sent events.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { EventSource } from 'eventsource';
import { Peer } from './peer.mjs';
import { Server, token, until } from './server.mjs';

for (const [transport, format] of [['http_stream', 'json'], ['http_stream', 'protobuf'], ['sse', 'json']]) {
  describe(`${transport}, ${format}`, { timeout: 60_000 }, () => {
    let server;
    let open = [];
    let count = 0;

    before(async () => { server = await Server.start(); });
    after(() => server.stop());
    afterEach(() => {
      open.forEach(peer => peer.close());
      open = [];
    });

    const someone = name => `${name}-${count += 1}`;
    const peer = (user, options = {}) => {
      const base = server.url.replace('ws:', 'http:').replace('/connection/websocket', '');
      const made = new Peer(format, [{ transport, endpoint: `${base}/connection/${transport}` }], user, {
        emulationEndpoint: `${base}/emulation`, fetch, readableStream: ReadableStream, eventsource: EventSource, ...options,
      });
      open.push(made);
      return made;
    };
    const connected = async (user, options) => {
      const made = peer(user, options);
      await made.connect();
      return made;
    };
    const group = async (creator, ...others) => {
      const { room } = await creator.rpc('room.create', { kind: 'group', client_id: randomUUID(), members: others, title: 'A' });
      return { room, name: `room:${room}` };
    };

    test('two users talk', async () => {
      const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
      assert.equal(ann.last('connected').transport, transport);
      const { room, name } = await group(ann, bob.user);
      const [a, b] = [await ann.channel(name).ready(), await bob.channel(name).ready()];
      await ann.rpc('message.send', { room, client_id: 'm-1', body: 'hello\nyou' });
      await b.got(pub => pub.data.body === 'hello\nyou');
      await bob.rpc('message.send', { room, client_id: 'm-1', body: 'hello' });
      await a.got(pub => pub.data.body === 'hello');
      assert.deepEqual(a.publications.map(pub => pub.offset), b.publications.map(pub => pub.offset));
      await until(() => bob.personal.find(pub => pub.data.type === 'room.invited' || pub.data.type === 'room.joined'),
        'the personal channel');
    });

    test('a forged token is refused with 3500, for good', async () => {
      const ann = peer(someone('ann'), { token: `${token('ann').slice(0, -6)}forged` });
      ann.client.connect();
      const { code } = await until(() => ann.last('disconnected'), 'disconnected');
      assert.equal(code, 3500);
    });

    test('an idle stream is kept alive by pings', async () => {
      const ann = await connected(someone('ann'));
      // Pauses: two pings and more pass: time is what is tested.
      await new Promise(resolve => { setTimeout(resolve, 3_000); });
      assert.equal(ann.of('connecting').length, 1);
      await ann.rpc('room.list');
    });

    for (const signal of ['SIGTERM', 'SIGKILL']) {
      test(`a server that ended by ${signal} is found again, with everything`, async () => {
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
        const { room, name } = await group(ann, bob.user);
        const channel = await bob.channel(name, { recoverable: true }).ready();
        await ann.rpc('message.send', { room, client_id: 'm-1', body: 'before' });
        await channel.got(pub => pub.data.body === 'before');
        const exit = await server.end(signal);
        await server.restart();
        if (signal === 'SIGTERM') assert.equal(exit, 0);
        await until(() => ann.of('connected').length === 2, 'ann is back');
        await ann.rpc('message.send', { room, client_id: 'm-1', body: 'before' });
        await ann.rpc('message.send', { room, client_id: 'm-2', body: 'after' });
        await channel.got(pub => pub.data.body === 'after');
        assert.equal(channel.last('subscribed').recovered, true);
        assert.deepEqual(channel.publications.map(pub => pub.data.body), ['before', 'after']);
      });
    }
  });
}

test('a client that no WebSocket reaches falls back by itself', async context => {
  const server = await Server.start();
  context.after(() => server.stop());
  const base = server.url.replace('ws:', 'http:').replace('/connection/websocket', '');
  const ann = new Peer('json', [
    { transport: 'websocket', endpoint: `${server.url}-that-a-proxy-breaks` },
    { transport: 'http_stream', endpoint: `${base}/connection/http_stream` },
  ], 'ann', { emulationEndpoint: `${base}/emulation`, fetch, readableStream: ReadableStream });
  context.after(() => ann.close());
  await ann.connect();
  assert.equal(ann.last('connected').transport, 'http_stream');
});
