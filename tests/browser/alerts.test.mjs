// What the demo page tells of messages that one is not looking at. `Notification` and `AudioContext` are replaced by ones that
// note what is asked of them: a headless browser has neither a screen nor a loudspeaker.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bubble, enter, say, serverOf } from './demo.mjs';

const noteAll = () => {
  window.shown = [];
  window.tones = 0;
  window.asked = 0;
  const Real = window.Notification;
  window.Notification = class {
    constructor(title, options) { Object.assign(this, { title, ...options }); window.shown.push(this); }
    close() { this.isClosed = true; }
    static get permission() { return Real.permission; }
    static requestPermission() { window.asked += 1; return Real.requestPermission(); }
  };
  window.AudioContext = class extends AudioContext {
    createOscillator() { window.tones += 1; return super.createOscillator(); }
  };
};

// Enters, and has what `script` says done to each document before the page's own scripts.
async function enterNoting(name, permissions = ['notifications'], script = noteAll) {
  const page = await enter(name);
  await page.context().grantPermissions(permissions);
  await page.addInitScript(script);
  await page.reload();
  await page.getByRole('button', { name: /Welcome/ }).waitFor();
  return page;
}

async function choose(page, ...labels) {
  await page.getByRole('button', { name: 'Notifications' }).click();
  for (const label of labels) await page.getByRole('checkbox', { name: label }).check();
  await page.getByRole('button', { name: 'Done' }).click();
}

const hide = (page, isHidden) => page.evaluate(isHidden => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event('visibilitychange'));
}, isHidden);
const shown = page => page.evaluate(() => window.shown.map(({ title, body, isClosed = false }) => ({ title, body, isClosed })));
const line = (page, name) => page.getByRole('button', { name: new RegExp(`^${name}`) });

// A group of both that neither has open.
async function otherRoom() {
  const token = await serverOf().token('alice');
  const { room } = await serverOf().api('POST', '/api/chats', { kind: 'group', title: 'Other', members: ['bob'] }, token);
  return { room, send: body => serverOf().api('POST', `/api/chats/${room}/messages`, { client_id: crypto.randomUUID(), body }, token) };
}

test('nothing is asked, shown or heard until it is switched on', async () => {
  const bob = await enterNoting('Bob', []);
  const other = await otherRoom();
  await other.send('unheard');
  await line(bob, 'Other').getByLabel(/unread/).waitFor();
  assert.deepEqual(await bob.evaluate(() => [window.shown.length, window.tones, window.asked]), [0, 0, 0]);
});

test('a message of another chat, and of this one while the tab is hidden, is told as text; a click opens the chat', async () => {
  const [alice, bob] = [await enter('Alice'), await enterNoting('Bob')];
  await choose(bob, 'Notifications', 'Sound');
  await bob.evaluate(() => { window.tones = 0; });
  await line(bob, 'Welcome').click();
  await say(alice, 'in plain sight');
  await bubble(bob, 'in plain sight').waitFor();
  assert.deepEqual(await shown(bob), [], 'not of what one is looking at');

  await hide(bob, true);
  await say(bob, 'my own');
  await say(alice, 'behind your back');
  await bob.waitForFunction(() => window.shown.length === 1);
  assert.deepEqual(await shown(bob), [{ title: 'Welcome', body: 'Alice: behind your back', isClosed: false }]);
  await hide(bob, false);
  // It was read.
  await bob.waitForFunction(() => window.shown[0].isClosed);

  const other = await otherRoom();
  await other.send('<b>bold</b>');
  await bob.waitForFunction(() => window.shown.length === 2);
  const { title, body } = (await shown(bob))[1];
  assert.deepEqual([title, body], ['Other', 'Alice: <b>bold</b>']);
  assert.ok(await bob.evaluate(() => window.tones) > 0, 'and heard');
  await bob.evaluate(() => window.shown[1].onclick());
  await bob.getByRole('heading', { name: 'Other' }).waitFor();
  await bubble(bob, '<b>bold</b>').waitFor();
});

test('a muted chat is silent, also after a reload', async () => {
  const bob = await enterNoting('Bob');
  const other = await otherRoom();
  await choose(bob, 'Notifications', 'Sound');
  await line(bob, 'Other').click();
  await bob.getByRole('button', { name: 'Mute this chat' }).click();
  await bob.getByRole('button', { name: 'Unmute this chat' }).waitFor();
  await bob.reload();
  await line(bob, 'Welcome').click();
  await other.send('quiet');
  await line(bob, 'Other').getByLabel('1 unread').waitFor();
  assert.deepEqual(await bob.evaluate(() => [window.shown.length, window.tones]), [0, 0]);
  await line(bob, 'Other').click();
  await bob.getByRole('button', { name: 'Unmute this chat' }).click();
  await bob.getByRole('button', { name: 'Mute this chat', exact: true }).waitFor();
  await line(bob, 'Welcome').click();
  await other.send('loud');
  await bob.waitForFunction(() => window.shown.length === 1 && window.tones > 0);
});

test('a chat that is muted on one page is muted on another of the same user, and no one else', async () => {
  const [first, second, alice] = [await enter('Bob'), await enterNoting('Bob'), await enter('Alice')];
  const other = await otherRoom();
  await choose(second, 'Notifications', 'Sound');
  await second.evaluate(() => { window.tones = 0; });
  await line(second, 'Welcome').click();
  await line(first, 'Other').click();
  await first.getByRole('button', { name: 'Mute this chat' }).click();
  await first.getByRole('button', { name: 'Unmute this chat' }).waitFor();
  await hide(second, true);
  await hide(second, false);
  await line(second, 'Other').getByLabel('muted').waitFor();
  await other.send('quiet');
  await line(second, 'Other').getByLabel('1 unread').waitFor();
  assert.deepEqual(await second.evaluate(() => [window.shown.length, window.tones]), [0, 0]);
  assert.equal(await line(alice, 'Other').getByLabel('muted').count(), 0);
  await second.reload();
  await line(second, 'Other').click();
  await second.getByRole('button', { name: 'Unmute this chat' }).click();
  await second.getByRole('button', { name: 'Mute this chat', exact: true }).waitFor();
  await first.reload();
  await line(first, 'Other').waitFor();
  await first.waitForFunction(() => !document.querySelector('[aria-label=muted]'));
});

test('a browser that refuses is said to refuse', async () => {
  const bob = await enterNoting('Bob', [], () => {
    window.Notification = class { static permission = 'default';
      static async requestPermission() { return (this.permission = 'denied'); } };
  });
  await bob.getByRole('button', { name: 'Notifications' }).click();
  const box = bob.getByRole('checkbox', { name: 'Notifications' });
  await bob.getByText('The browser will ask whether this page may.').waitFor();
  await box.click();
  await bob.getByText('This browser blocks notifications of this page.').waitFor();
  assert.deepEqual([await box.isChecked(), await box.isDisabled()], [false, true]);
});
