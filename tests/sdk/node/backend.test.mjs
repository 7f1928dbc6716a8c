// Kervan against npm `cent.js`, a client of the server API: an existing back end works unchanged, call by call and in a pipeline.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { KEY, Server } from './server.mjs';

const { CentClient } = createRequire(import.meta.url)('cent.js');

test('a back end of cent.js', async context => {
  const server = await Server.start();
  context.after(() => server.stop());
  const client = new CentClient({ url: `http://127.0.0.1:${server.port}/api`, apiKey: KEY });

  await context.test('each call is answered', async () => {
    assert.equal((await client.publish({ channel: 'a', data: { n: 1 } })).offset, 1);
    assert.deepEqual((await client.broadcast({ channels: ['a', 'b'], data: null })).responses.map(one => one.result.offset), [2, 1]);
    assert.deepEqual((await client.getHistory({ channel: 'a', limit: 10 })).publications.map(one => one.data), [{ n: 1 }, null]);
    assert.deepEqual(await client.getPresence({ channel: 'a' }), { presence: {} });
    assert.deepEqual(await client.getPresenceStats({ channel: 'a' }), { num_clients: 0, num_users: 0 });
    assert.deepEqual(await client.getChannels(), { channels: {} });
    assert.equal((await client.getInfo()).nodes.length, 1);
    for (const call of ['subscribe', 'unsubscribe', 'disconnect', 'refresh']) {
      assert.deepEqual(await client[call]({ user: 'ann', channel: 'a', client: 'client' }), {});
    }
    await assert.rejects(client.publish({ channel: 'unknown:x', data: 1 }));
  });

  await context.test('a pipeline is one request, with an answer for each call in its place', async () => {
    const done = await client.pipeline([
      { method: 'publish', params: { channel: 'p', data: 1 } },
      { method: 'publish', params: { channel: 'unknown:x', data: 1 } },
      { method: 'publish', params: { channel: 'p', data: 2 } },
      { method: 'history', params: { channel: 'p', limit: 10 } },
      { method: 'info' },
    ]);
    assert.deepEqual([done[0].offset, done[1], done[2].offset], [1, undefined, 2]);
    assert.deepEqual(done[3].publications.map(one => one.data), [1, 2]);
    assert.equal(done[4].nodes.length, 1);
  });
});
