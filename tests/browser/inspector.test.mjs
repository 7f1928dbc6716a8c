// The operator's page in headless Chromium, over a server with real traffic.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';
import { Server } from './server.mjs';

const SHOTS = new URL('../../target/screenshots/', import.meta.url).pathname;
mkdirSync(SHOTS, { recursive: true });

let browser, server, faults, expected;
before(async () => {
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
});
after(() => browser.close());
beforeEach(async () => { server = await Server.start(); faults = []; expected = /^$/; });
afterEach(async () => {
  await Promise.all(browser.contexts().map(context => context.close()));
  await server.stop();
  assert.deepEqual(faults, [], 'nothing is wrong in the console, and nothing is asked of anybody else');
});

async function look(view = '', options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  page.on('console', message => { if (message.type() === 'error' && !expected.test(message.text())) faults.push(message.text()); });
  page.on('pageerror', error => faults.push(String(error)));
  page.on('request', request => { if (!request.url().startsWith(server.adminUrl)) faults.push(`foreign: ${request.url()}`); });
  await page.goto(`${server.adminUrl}#${view}`);
  return page;
}

// Somebody who talks over REST.
async function person(user) {
  const json = { 'content-type': 'application/json' };
  const ask = async (path, body, headers = json) => {
    const answer = await fetch(`${server.url}api/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.ok(answer.ok, `${path}: ${answer.status}`);
    return answer.json();
  };
  const { access_token } = await ask('auth/development', { user });
  const headers = { ...json, authorization: `Bearer ${access_token}` };
  return (path, body) => ask(path, body, headers);
}

async function rooms(count) {
  const alice = await person('alice');
  const made = [];
  for (let n = 0; n < count; n += 50) {
    made.push(...await Promise.all(Array.from({ length: Math.min(50, count - n) }, (_, i) =>
      alice('chats', { members: ['bob'], title: `room ${n + i}` }))));
  }
  return { alice, ids: made.map(chat => chat.room) };
}

// Bob is on the demo page: a session of somebody.
async function bobIsHere() {
  const page = await (await browser.newContext()).newPage();
  await page.goto(server.url);
  await page.getByRole('button', { name: 'Continue as Bob' }).click();
  await page.getByRole('button', { name: /Welcome/ }).waitFor();
  return page;
}

const row = (page, path) => page.locator(`tr[data-path="${path}"]`);

test('the tree shows what is there, a large family in pages, and a path finds its actor', async () => {
  const { ids } = await rooms(300);
  const page = await look();
  await row(page, 'partitions').waitFor();
  await page.getByRole('button', { name: 'Open partitions', exact: true }).click();
  await row(page, 'partitions/0').waitFor();
  await page.getByText('256 in all').waitFor();
  assert.equal(await page.locator('tr[data-path^="partitions/"]').count(), 50, 'a page of them');
  await page.getByRole('button', { name: 'Next' }).click();
  await row(page, 'partitions/99').waitFor();
  await page.getByLabel('Kind', { exact: true }).selectOption('room');
  await page.getByText('301 in all').or(page.getByText('300 in all')).waitFor();
  assert.ok(await page.evaluate(() => document.querySelectorAll('*').length) < 1_500, 'however many there are');
  await page.getByLabel('Find actors').fill(`room:${ids[7]}`);
  await page.locator('tr[data-path]').first().getByRole('button').click();
  const detail = page.getByRole('complementary');
  await detail.getByText('group').waitFor();
  await page.screenshot({ path: `${SHOTS}inspector-actors.png` });
});

test('an act is confirmed, done, and written down', async () => {
  await bobIsHere();
  const page = await look('users');
  await page.getByRole('button', { name: 'Disconnect a session of bob' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  const audit = async () => (await (await fetch(`${server.adminUrl}admin/audit`)).json()).items.map(item => item.what);
  assert.deepEqual(await audit(), [], 'nothing is done before it is confirmed');
  await page.getByRole('button', { name: 'Disconnect a session of bob' }).click();
  await dialog.getByRole('button', { name: 'Disconnect', exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
  assert.deepEqual(await audit(), ['session.disconnect']);

  await page.goto(`${server.adminUrl}#actors`);
  await page.getByLabel('Find actors').fill('partitions/17');
  await page.getByRole('button', { name: 'partitions/17', exact: true }).click();
  await page.getByRole('complementary').getByRole('button', { name: 'restart…' }).click();
  await dialog.getByRole('button', { name: 'Restart', exact: true }).click();
  await page.getByRole('complementary').locator('dt', { hasText: 'restarts' }).locator('xpath=../dd', { hasText: '1' }).first().waitFor();
  assert.ok((await audit()).includes('actor.restart'));
});

test('a ban is done from the page, and taken back', async () => {
  const bob = await bobIsHere();
  const page = await look('users');
  await page.getByRole('button', { name: 'Bob bob', exact: true }).click();
  await page.getByRole('button', { name: 'Ban…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Ban', exact: true }).click();
  await page.getByRole('cell', { name: 'banned', exact: true }).waitFor();
  await page.getByText('bob is not connected.').waitFor();
  await page.getByRole('button', { name: 'Unban…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Unban', exact: true }).click();
  await page.getByRole('cell', { name: 'banned', exact: true }).waitFor({ state: 'detached' });
  await bob.close();
});

test('the trace of a message is a waterfall', async () => {
  const { alice, ids: [room] } = await rooms(1);
  const page = await look('rooms');
  await page.getByRole('button', { name: 'room 0' }).click();
  await page.getByRole('button', { name: 'Follow its messages' }).click();
  await page.getByRole('button', { name: 'Follow the next 20' }).click();
  await page.getByText('The next 20 commands of this room are followed.').waitFor();
  await alice(`chats/${room}/messages`, { body: 'watched' });
  const way = page.getByRole('img', { name: /received after 0 µs, appended after \d+ µs, .*acknowledged after/ });
  await way.waitFor();
  assert.ok(!(await page.content()).includes('watched'), 'what was said is nobody’s business here');
  await page.screenshot({ path: `${SHOTS}inspector-traces.png` });
});

test('the map tells of each slot, by pointer and by keyboard', async () => {
  await rooms(40);
  const page = await look('partitions');
  const map = page.getByRole('img', { name: /16,384 slots/ });
  await map.click({ position: { x: 1, y: 1 } });
  await page.getByText(/^slot 0: partition 0 of node-0/).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowRight');
  await page.getByText(/^slot 129: partition 2 of node-0 .* running/).waitFor();
  // Rooms are in memory: some cells are warmer than others.
  const colours = await map.evaluate(canvas => new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, 512, 512).data.buffer)).size);
  assert.ok(colours > 2, `${colours} colours`);
  assert.equal(await page.getByRole('region', { name: 'Partitions' }).locator('tbody tr').count(), 256);
  await page.screenshot({ path: `${SHOTS}inspector-partitions.png` });
});

test('the log is followed, filtered and paused', async () => {
  const page = await look('log');
  const tail = page.getByRole('log');
  await tail.getByText('the journal is open').waitFor();
  await page.getByText('Nothing deserves a look.').waitFor();
  await page.getByLabel('Text in the log').fill('journal');
  await tail.getByText('the journal is open').waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('button', { name: 'Follow' }).waitFor();
  await page.screenshot({ path: `${SHOTS}inspector-log.png` });
});

test('a token is asked for where one is needed, and a wrong one is said', async () => {
  await server.stop();
  const token = 'the token of an operator, long enough';
  server = await Server.start({ KERVAN_SERVER__PRODUCTION: 'true', KERVAN_ADMIN__TOKEN: token,
    JWT_SECRET: 'a secret of the tests, long enough for HS256', KERVAN_SERVER__HOST: '127.0.0.1' });
  expected = /401/;
  const page = await look();
  await page.getByLabel('Token').fill('a wrong one');
  await page.getByRole('button', { name: 'Look' }).click();
  await page.getByText('the bearer token is not the one').waitFor();
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Look' }).click();
  await row(page, 'partitions').waitFor();
  assert.equal(await page.evaluate(() => localStorage.length), 0, 'it is gone with the tab');
});

test('a server that hangs is seen to hang, and its figures to be old', async () => {
  const page = await look();
  await row(page, 'partitions').waitFor();
  expected = /Failed to load|TimeoutError|timed out/;
  server.child.kill('SIGSTOP');
  try {
    await page.getByRole('alert').getByText(/^No answer for \d+ s\. What is shown is from \d/).waitFor({ timeout: 15_000 });
    await page.getByRole('status').getByText('no answer').waitFor();
    assert.equal(await page.locator('.page.stale').count(), 1);
    await page.screenshot({ path: `${SHOTS}inspector-silent.png` });
  } finally {
    server.child.kill('SIGCONT');
  }
  await page.locator('.page.stale').waitFor({ state: 'detached' });
});

test('an answer that is cut off is no answer, and the page goes on', async () => {
  const page = await look();
  await row(page, 'partitions').waitFor();
  await page.route('**/admin/overview', route => route.fulfill({ contentType: 'application/json', body: '{"version":' }));
  await page.getByRole('status').getByText('The server does not answer.').waitFor();
  await page.getByRole('link', { name: 'Traces', exact: true }).click();
  await page.getByLabel('Room', { exact: true }).waitFor();
  await page.unroute('**/admin/overview');
  await page.getByRole('status').getByText(/^ok /).waitFor();
});

test('rooms are found by title, have an address, and an operator acts there', async () => {
  const { alice, ids } = await rooms(3);
  await alice(`chats/${ids[1]}/messages`, { body: 'to be taken away' });
  const page = await look('rooms');
  await page.getByRole('button', { name: 'room 2' }).waitFor();
  await page.getByLabel('Find rooms').fill('OOM 1');
  await page.getByRole('button', { name: 'room 2' }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'room 1' }).click();
  assert.equal(new URL(page.url()).hash, `#rooms/${ids[1]}`);
  await page.reload();
  const detail = page.getByRole('complementary');
  await detail.getByText('expires', { exact: true }).waitFor();
  assert.ok(!/\b1[0-9]{12}\b/.test(await detail.innerText()), 'times are written as times');
  const dialog = page.getByRole('dialog');
  await detail.getByRole('button', { name: /^Delete message/ }).click();
  await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
  await detail.getByRole('cell', { name: 'deleted', exact: true }).waitFor();
  await detail.getByRole('button', { name: 'Kick bob' }).click();
  await dialog.getByRole('button', { name: 'Kick', exact: true }).click();
  await detail.getByRole('cell', { name: /^kicked/ }).waitFor();
  await detail.getByRole('button', { name: 'End…' }).click();
  await dialog.getByRole('button', { name: 'End', exact: true }).click();
  await detail.getByText('ended', { exact: true }).waitFor();
  await detail.getByRole('button', { name: 'alice', exact: true }).click();
  await page.getByRole('region', { name: 'User alice' }).waitFor();
  await page.goBack();
  await detail.getByRole('heading', { name: 'room 1' }).waitFor();
});

test('actors have names, are sorted by their heads, and stand still under the pointer', async () => {
  const { alice, ids } = await rooms(8);
  const page = await look();
  await page.getByLabel('Kind', { exact: true }).selectOption('room');
  await page.getByRole('button', { name: /^room 5/ }).waitFor();
  await page.getByRole('button', { name: 'handled' }).click();
  await page.getByRole('columnheader', { name: 'handled' }).and(page.locator('[aria-sort=descending]')).waitFor();
  const order = () => page.locator('tr[data-path]').evaluateAll(rows => rows.map(row => row.dataset.path));
  await page.locator('tr[data-path]').nth(3).hover();
  await page.getByText('order kept while you point').waitFor();
  const before = await order();
  const last = before.at(-1).split('room:')[1];
  for (let i = 0; i < 20; i++) await alice(`chats/${last}/messages`, { body: `busy ${i}` });
  await page.waitForFunction(path => Number(document.querySelector(`tr[data-path="${path}"] td:nth-child(4)`).textContent) > 15, before.at(-1));
  assert.deepEqual(await order(), before, 'while one points at them');
  await page.mouse.move(5, 5);
  await page.waitForFunction(path => document.querySelector('tr[data-path]').dataset.path === path, before.at(-1));
  await page.getByLabel('Refresh').selectOption('paused');
  assert.ok(ids.includes(last));
});

for (const [name, options] of Object.entries({
  light: { colorScheme: 'light' }, dark: { colorScheme: 'dark' }, phone: { viewport: { width: 390, height: 780 } },
})) {
  test(`axe finds no serious fault: ${name}`, async () => {
    await rooms(3);
    const page = await look('', options);
    for (const [view, there] of Object.entries({
      Actors: row(page, 'partitions'), Partitions: page.getByText(/^slot 0:/), Traces: page.getByLabel('Room', { exact: true }),
      Rooms: page.getByRole('button', { name: 'room 1' }), Users: page.getByRole('button', { name: 'Alice alice', exact: true }),
      Log: page.getByText('the journal is open'),
    })) {
      await page.getByRole('link', { name: view, exact: true }).click();
      await there.first().waitFor();
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations.filter(fault => ['serious', 'critical'].includes(fault.impact));
      assert.deepEqual(serious.map(fault => [fault.id, fault.nodes.map(node => node.html)]), [], view);
    }
    await page.screenshot({ path: `${SHOTS}inspector-${name}.png` });
  });
}
