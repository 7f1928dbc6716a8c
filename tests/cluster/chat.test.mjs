// Two people chat on `make cluster` while a broker dies, and then the database: they notice nothing but a pause.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { bubble, enter, say } from '../browser/demo.mjs';

const record = () => JSON.parse(readFileSync(process.env.KERVAN_CLUSTER, 'utf8'));
// A broker's death stalls its partitions for 2 to 5 s, and a busy machine takes longer.
const PAUSE = { timeout: 30_000 };

// Both say a line, and both see both.
async function talk(alice, bob, when) {
  const begin = Date.now();
  await say(alice, `alice ${when}`);
  await say(bob, `bob ${when}`);
  for (const page of [alice, bob]) {
    for (const who of ['alice', 'bob']) await bubble(page, `${who} ${when}`).waitFor(PAUSE);
    await page.locator('.sending').first().waitFor({ state: 'detached', ...PAUSE });
  }
  console.log(`${when}: ${Date.now() - begin} ms`);
}

async function until(what, look) {
  for (const end = Date.now() + 60_000; !look();) {
    assert.ok(Date.now() < end, `not within a minute: ${what}`);
    // Pauses: between looks, within a bound.
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}

test('a broker and the database are killed while two people chat, and they notice nothing but a pause', async () => {
  const [alice, bob] = [await enter('Alice'), await enter('Bob')];
  const again = [];
  for (const page of [alice, bob]) page.on('websocket', socket => again.push(socket.url()));
  await alice.getByRole('button', { name: 'New chat' }).click();
  await alice.getByLabel('Find people').fill('bo');
  await alice.getByRole('button', { name: /Bob @bob/ }).click();
  await alice.getByRole('button', { name: 'Start chat' }).click();
  await alice.getByRole('heading', { name: 'Bob' }).waitFor(PAUSE);
  await say(alice, 'hello');
  await bob.getByRole('button', { name: /^Alice/ }).click(PAUSE);
  await bubble(bob, 'hello').waitFor(PAUSE);
  const times = ['before'];
  await talk(alice, bob, 'before');

  const before = record();
  process.kill(before.brokers[0].pid, 'SIGKILL');
  for (const when of ['without a broker', 'a little later']) {
    await talk(alice, bob, when);
    times.push(when);
  }
  await until('the broker is started again', () => record().brokers[0].pid !== before.brokers[0].pid);
  process.kill(before.postgres.pid, 'SIGKILL');
  for (const when of ['without the database', 'still without', 'once more']) {
    await talk(alice, bob, when);
    times.push(when);
  }
  await until('the database is started again', () => record().postgres.pid !== before.postgres.pid);
  await talk(alice, bob, 'with everything');
  times.push('with everything');

  const seen = await Promise.all([alice, bob].map(page => page.locator('.message .bubble > p').allTextContents()));
  assert.deepEqual(seen[0], seen[1], 'both see the same, in the same order');
  for (const who of ['alice', 'bob']) {
    const said = seen[0].filter(text => text.startsWith(who));
    assert.deepEqual(said, times.map(when => `${who} ${when}`), 'nothing is missing, doubled, or out of order');
  }
  assert.deepEqual(again, [], 'nobody had to connect again');
});
