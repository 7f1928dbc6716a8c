// The demo page as two people use it.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import AxeBuilder from '@axe-core/playwright';
import { chromium } from 'playwright-core';
import { Server } from './server.mjs';

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const SHOTS = new URL('../../target/screenshots/', import.meta.url).pathname;
mkdirSync(SHOTS, { recursive: true });

// What the browser itself reports, at any time after it: connections that are gone, and answers 401.
const expected = text => (offline && /ERR_CONNECTION|WebSocket/.test(text)) || (refused && /401/.test(text));
let browser, server, faults, offline, refused;
before(async () => { browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGS }); });
after(() => browser.close());
beforeEach(async () => { server = await Server.start(); faults = []; offline = refused = false; });
afterEach(async () => {
  await Promise.all(browser.contexts().map(context => context.close()));
  await server.stop();
  assert.deepEqual(faults, [], 'nothing is wrong in the console, and nothing is asked of anybody else');
});

async function tab(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1180, height: 780 }, ...options });
  const page = await context.newPage();
  page.on('console', message => {
    if (message.type() === 'error' && !expected(message.text())) faults.push(message.text());
  });
  page.on('pageerror', error => faults.push(String(error)));
  page.on('request', request => {
    if (!request.url().startsWith(server.url) && !/^(data|blob):/.test(request.url())) faults.push(`foreign: ${request.url()}`);
  });
  page.on('dialog', dialog => dialog.accept());
  await page.goto(server.url);
  return page;
}

async function enter(name, options) {
  const page = await tab(options);
  await page.getByRole('button', { name: `Continue as ${name}` }).click();
  await page.getByRole('button', { name: /Welcome/ }).waitFor();
  return page;
}

async function say(page, text) {
  await page.locator('#compose').fill(text);
  await page.locator('#compose').press('Enter');
}

const bubble = (page, text) => page.getByRole('log').getByText(text, { exact: true });
const message = (page, text) => page.locator('.message', { has: page.getByText(text, { exact: true }) });

test('two tabs chat: typing, unread, marks, edit, delete', async () => {
  const [alice, bob] = [await enter('Alice'), await enter('Bob')];
  await alice.getByRole('button', { name: 'New chat' }).click();
  await alice.getByLabel('Find people').fill('bo');
  await alice.getByRole('button', { name: /Bob @bob/ }).click();
  await alice.getByRole('button', { name: 'Start chat' }).click();
  await alice.getByRole('heading', { name: 'Bob' }).waitFor();
  await alice.getByText('online', { exact: true }).waitFor();
  await say(alice, 'hello bob');
  const line = bob.getByRole('button', { name: /^Alice/ });
  await line.getByLabel('1 unread').waitFor();
  await message(alice, 'hello bob').getByLabel('delivered').waitFor();
  await line.click();
  await bubble(bob, 'hello bob').waitFor();
  await message(alice, 'hello bob').getByLabel('read').waitFor();
  await line.getByLabel('1 unread').waitFor({ state: 'detached' });

  await bob.locator('#compose').pressSequentially('hm');
  await alice.locator('.head').getByText('Bob is typing…').waitFor();
  await say(bob, 'hello alice');
  await bubble(alice, 'hello alice').waitFor();
  await alice.screenshot({ path: `${SHOTS}chat-light.png` });

  await message(alice, 'hello bob').hover();
  await message(alice, 'hello bob').getByRole('button', { name: 'Edit' }).click();
  await alice.getByLabel('Change the message').fill('hello, dear bob');
  await alice.getByRole('button', { name: 'Save' }).click();
  await bubble(bob, 'hello, dear bob').waitFor();
  await message(alice, 'hello, dear bob').hover();
  await message(alice, 'hello, dear bob').getByRole('button', { name: 'Delete' }).click();
  await bubble(bob, 'This message was deleted.').waitFor();
});

test('a server that is killed while both write costs nothing', async () => {
  const [alice, bob] = [await enter('Alice'), await enter('Bob')];
  for (let i = 0; i < 5; i++) {
    await say(alice, `alice before ${i}`);
    await say(bob, `bob before ${i}`);
  }
  offline = true;
  await server.kill();
  await alice.getByText('Reconnecting…').waitFor();
  await bob.getByText('Reconnecting…').waitFor();
  for (let i = 0; i < 5; i++) {
    await say(alice, `alice after ${i}`);
    await say(bob, `bob after ${i}`);
  }
  await alice.screenshot({ path: `${SHOTS}offline.png` });
  await server.restart();
  for (const page of [alice, bob]) await page.getByText('Reconnecting…').waitFor({ state: 'detached', timeout: 20_000 });
  for (const page of [alice, bob]) {
    for (const text of ['alice after 4', 'bob after 4']) await bubble(page, text).waitFor();
    await page.locator('.sending').first().waitFor({ state: 'detached' });
  }
  const seen = await Promise.all([alice, bob].map(page => page.locator('.message .bubble > p').allTextContents()));
  assert.deepEqual(seen[0], seen[1], 'both see the same, in the same order');
  for (const who of ['alice', 'bob']) {
    const said = seen[0].filter(text => text.startsWith(who));
    const wanted = ['before', 'after'].flatMap(when => [0, 1, 2, 3, 4].map(i => `${who} ${when} ${i}`));
    assert.deepEqual(said, wanted, 'nothing is missing, doubled, or out of order');
  }
});

test('5,000 messages scroll without a long frame and with a bounded page', async () => {
  const token = await server.token('alice');
  const { rooms } = await server.api('GET', '/api/chats', undefined, token);
  const path = `/api/chats/${rooms[0].room}/messages`;
  for (let i = 0; i < 5_000; i += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, k) =>
      server.api('POST', path, { client_id: `many-${i + k}`, body: `message ${i + k} ${'lorem ipsum '.repeat((i + k) % 12)}` }, token)));
  }
  const page = await enter('Bob');
  await page.locator('.message').nth(20).waitFor();
  // Blocked time of the main thread, as the browser itself sees it; its frames are those without a task that long.
  await page.evaluate(() => {
    window.long = [];
    new PerformanceObserver(list => window.long.push(...list.getEntries().map(entry => entry.duration))).observe({ type: 'longtask' });
  });
  let most = 0;
  for (let turn = 0; turn < 400 && !(await page.getByText('This is the beginning.').isVisible()); turn++) {
    await page.evaluate(() => {
      const log = document.querySelector('[role=log]');
      log.scrollTop = Math.max(0, log.scrollTop - 1_500);
      return new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    });
    if (turn % 10 === 0) most = Math.max(most, await page.evaluate(() => document.querySelectorAll('*').length));
  }
  await page.getByText('This is the beginning.').waitFor();
  await bubble(page, 'Welcome to Kervan! This room was made for you to try things out.').waitFor();
  const long = await page.evaluate(() => window.long);
  console.log(`elements at most: ${most}; tasks over 50 ms: ${long.map(Math.round).join(', ') || 'none'}`);
  assert.ok(most < 3_000, `${most} elements`);
  assert.deepEqual(long, [], 'no frame is held up for 50 ms');
  await page.getByRole('button', { name: /Newest|new/ }).last().click();
  await page.locator('.message').last().waitFor();
});

test('an account is made, signs out and in again; a wrong password is said', async () => {
  const page = await tab();
  await page.getByRole('button', { name: 'Make an account instead' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Carol');
  await page.getByLabel('Username').fill('carol');
  await page.getByLabel('Password').fill('a good password');
  await page.getByRole('button', { name: 'Make account' }).click();
  await page.getByText('No chats yet.').waitFor();
  await page.reload();
  await page.getByText('No chats yet.').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Username or e-mail').fill('carol');
  await page.getByLabel('Password').fill('a wrong password');
  refused = true;
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('wrong name or password').waitFor();
  await page.getByLabel('Password').fill('a good password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('No chats yet.').waitFor();
});

test('a chat by keyboard alone', async () => {
  const page = await tab();
  const focus = () => page.evaluate(() => document.activeElement.closest('button, a, input')?.textContent ?? '');
  const until = async wanted => {
    for (let i = 0; i < 20; i++) {
      if ((await focus()).includes(wanted)) return;
      await page.keyboard.press('Tab');
    }
    assert.fail(`the focus never came to ${wanted}`);
  };
  await page.getByRole('button', { name: 'Continue as Alice' }).waitFor();
  await until('Continue as Alice');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: /Welcome/ }).waitFor();
  await page.locator('.message').first().waitFor();
  await page.locator('#compose').waitFor();
  await page.keyboard.type('by keyboard');
  await page.keyboard.press('Enter');
  await bubble(page, 'by keyboard').waitFor();
});

for (const [name, options] of Object.entries({
  light: { colorScheme: 'light' },
  dark: { colorScheme: 'dark' },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 780 } },
})) {
  test(`axe finds no serious fault: ${name}`, async () => {
    const page = await tab(options);
    const check = async what => {
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations.filter(fault => ['serious', 'critical'].includes(fault.impact));
      assert.deepEqual(serious.map(fault => [fault.id, fault.nodes.map(node => node.html)]), [], what);
    };
    await page.getByRole('button', { name: 'Continue as Alice' }).waitFor();
    await page.screenshot({ path: `${SHOTS}signin-${name}.png` });
    await check('signing in');
    await page.getByRole('button', { name: 'Continue as Alice' }).click();
    await page.getByRole('button', { name: /Welcome/ }).waitFor();
    if (name === 'phone') {
      await page.screenshot({ path: `${SHOTS}list-${name}.png` });
      await check('the list');
      await page.getByRole('button', { name: /Welcome/ }).click();
    }
    await page.locator('.message').nth(4).waitFor();
    await page.screenshot({ path: `${SHOTS}room-${name}.png` });
    await check('a room');
    if (name !== 'phone') {
      await page.getByRole('button', { name: 'New chat' }).click();
      await page.getByLabel('Find people').fill('b');
      await page.getByRole('button', { name: /Bob @bob/ }).waitFor();
      await page.screenshot({ path: `${SHOTS}new-${name}.png` });
      await check('a new chat');
    }
  });
}
