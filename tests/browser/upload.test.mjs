// Files on the demo page, in headless Chromium: Playwright drives it as a person would.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';
import { Server } from './server.mjs';

const SHOTS = new URL('../../target/screenshots/', import.meta.url).pathname;
mkdirSync(SHOTS, { recursive: true });

let browser, server, faults;
before(async () => {
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
});
after(() => browser.close());
beforeEach(async () => { server = await Server.start({ MAX_FILE_SIZE: '200000' }); faults = []; });
afterEach(async () => {
  await Promise.all(browser.contexts().map(context => context.close()));
  await server.stop();
  assert.deepEqual(faults, [], 'nothing is wrong in the console');
});

async function tab(person, expected = /^$/) {
  const context = await browser.newContext({ viewport: { width: 1180, height: 780 } });
  const page = await context.newPage();
  page.on('console', message => { if (message.type() === 'error' && !expected.test(message.text())) faults.push(message.text()); });
  page.on('pageerror', error => faults.push(String(error)));
  await page.goto(server.url);
  await page.getByRole('button', { name: `Continue as ${person}` }).click();
  await page.getByRole('button', { name: /Welcome/ }).click();
  await page.locator('.message').first().waitFor();
  return page;
}

// A PNG of stripes, made by hand: no file of somebody's is needed.
function png(width, height) {
  const crcs = Int32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const crc = ~body.reduce((sum, byte) => crcs[(sum ^ byte) & 255] ^ (sum >>> 8), -1);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length);
    body.copy(out, 4);
    out.writeInt32BE(crc, body.length + 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8);
  const rows = Buffer.alloc(height * (width * 3 + 1));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rows.set([200 - (x >> 3), 120 + (y >> 3), 90], y * (width * 3 + 1) + 1 + x * 3);
  }
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0))]);
}

const give = (page, name, mimeType, buffer) => page.getByLabel('Files to send').setInputFiles({ name, mimeType, buffer });

test('a picture that one sends the other sees, and it opens whole', async () => {
  const [alice, bob] = [await tab('Alice'), await tab('Bob')];
  await give(alice, 'caravan.png', 'image/png', png(800, 400));
  for (const page of [alice, bob]) {
    const image = page.getByRole('img', { name: 'caravan.png' });
    await image.waitFor();
    const seen = await image.evaluate(async element => { await element.decode(); return [element.naturalWidth, element.naturalHeight]; });
    assert.deepEqual(seen, [480, 240], 'a thumbnail');
  }
  await alice.screenshot({ path: `${SHOTS}upload.png` });
  const [popup] = await Promise.all([bob.waitForEvent('popup'), bob.getByRole('button', { name: 'Open caravan.png' }).click()]);
  await popup.waitForLoadState();
  assert.match(popup.url(), /^blob:/);
  const { violations } = await new AxeBuilder({ page: alice }).analyze();
  assert.deepEqual(violations.filter(fault => ['serious', 'critical'].includes(fault.impact)).map(fault => fault.id), []);
  await alice.reload();
  await alice.getByRole('img', { name: 'caravan.png' }).waitFor();
});

test('another file is a download with the bytes that were sent', async () => {
  const [alice, bob] = [await tab('Alice'), await tab('Bob')];
  await give(alice, 'notes.html', 'text/html', Buffer.from('<script>alert(1)</script>'));
  const [download] = await Promise.all([bob.waitForEvent('download'), bob.locator('.file', { hasText: 'notes.html' }).click()]);
  assert.equal(download.suggestedFilename(), 'notes.html');
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), '<script>alert(1)</script>');
});

test('a page that somebody calls a picture is saved, never opened', async () => {
  const bob = await tab('Bob');
  const json = { 'content-type': 'application/json' };
  const signedIn = await fetch(`${server.url}api/auth/development`, { method: 'POST', headers: json, body: '{"user":"alice"}' });
  const authorization = `Bearer ${(await signedIn.json()).access_token}`;
  const { rooms: [{ room }] } = await (await fetch(`${server.url}api/chats`, { headers: { authorization } })).json();
  const upload = async (name, bytes) => {
    const form = new FormData();
    form.append('chat', room);
    form.append('file', new Blob([bytes]), name);
    return (await fetch(`${server.url}api/uploads`, { method: 'POST', headers: { authorization }, body: form })).json();
  };
  const [page, picture] = [await upload('sign-in.html', '<h1>Sign in again</h1>'), await upload('real.png', png(40, 20))];
  const lie = { ...picture, name: 'holiday.png', url: page.url };
  await fetch(`${server.url}api/chats/${room}/messages`, { method: 'POST', headers: { ...json, authorization },
    body: JSON.stringify({ client_id: crypto.randomUUID(), type: 'image', body: '', metadata: { upload: lie } }) });
  const [download] = await Promise.all([bob.waitForEvent('download'), bob.getByRole('button', { name: 'Open holiday.png' }).click()]);
  assert.equal(download.suggestedFilename(), 'holiday.png');
});

test('a file that is too large is refused with words, and the chat goes on', async () => {
  const alice = await tab('Alice', /413/);
  await give(alice, 'film.bin', 'application/octet-stream', Buffer.alloc(300_000, 7));
  await alice.getByText('at most 200000 bytes').waitFor();
  await alice.getByRole('button', { name: 'Discard' }).click();
  await alice.getByText('film.bin').waitFor({ state: 'detached' });
  await alice.locator('#compose').fill('it was too large');
  await alice.locator('#compose').press('Enter');
  await alice.locator('.message:not(.sending) .bubble', { hasText: 'it was too large' }).waitFor();
});
