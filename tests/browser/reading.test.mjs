// Reading and writing on the demo page as people do it: what is new, where one was, what could not be sent.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SHOTS, allow, bubble, enter, message, say, serverOf, sift } from './demo.mjs';

const TALL = Array.from({ length: 40 }, (_, line) => `line ${line}`).join('\n');

// A group of Alice's and Bob's with so many messages of Alice's.
async function group(title, count) {
  const server = serverOf();
  const token = await server.token('alice');
  const { room } = await server.api('POST', '/api/chats', { kind: 'group', title, members: ['bob'] }, token);
  for (let i = 0; i < count; i++) {
    await server.api('POST', `/api/chats/${room}/messages`, { client_id: `${title}-${i}`, body: `${title} ${i}` }, token);
  }
  return { room, token };
}

const line = (page, title) => page.locator('.sidebar button.room', { hasText: title });
const unread = async (room, user) => {
  const { rooms } = await serverOf().api('GET', '/api/chats', undefined, await serverOf().token(user));
  return rooms.find(one => one.room === room).unread;
};
// Waits until it is wholly in the pane of messages.
async function isInPane(page, locator, what) {
  const item = await locator.elementHandle();
  const isInside = item => {
    const { bottom, top } = item.getBoundingClientRect();
    const pane = document.querySelector('[role=log]').getBoundingClientRect();
    return top >= pane.top - 1 && bottom <= pane.bottom + 1;
  };
  await page.waitForFunction(isInside, item).catch(error => assert.fail(`${what}: ${error.message}`));
}

test('a chat with much that is new opens where reading stopped, and is read as it passes', async () => {
  const { room } = await group('News', 120);
  while (await unread(room, 'bob') < 120);
  const bob = await enter('Bob');
  // It is the newest, so it is opened by itself.
  await bob.getByRole('separator').waitFor();
  assert.match(await bob.title(), /^\(99\+\) Kervan$/);
  await bubble(bob, 'News 0').waitFor();
  await bob.screenshot({ path: `${SHOTS}unread.png` });
  await isInPane(bob, bubble(bob, 'News 0'), 'the first unread message is on the screen');
  assert.ok(await unread(room, 'bob') > 60, 'what was not on the screen is not read');
  await bob.getByRole('button', { name: /new ↓/ }).click();
  await bubble(bob, 'News 119').waitFor();
  await line(bob, 'News').getByLabel(/unread/).waitFor({ state: 'detached' });
  await bob.screenshot({ path: `${SHOTS}reading.png` });
  await line(bob, 'Welcome').click();
  await bob.waitForFunction(() => document.title === 'Kervan');
});

test('an edit and a deletion made offline wait, and are made', async () => {
  const [alice, bob] = [await enter('Alice'), await enter('Bob')];
  await say(alice, 'to be changed');
  await say(alice, 'to be deleted');
  await bubble(bob, 'to be deleted').waitFor();
  allow.offline = true;
  await serverOf().kill();
  await alice.getByText('Reconnecting…').waitFor();
  await message(alice, 'to be changed').hover();
  await message(alice, 'to be changed').getByRole('button', { name: 'Edit' }).click();
  await alice.getByLabel('Edit the message').fill('changed');
  await alice.getByLabel('Edit the message').press('Enter');
  await message(alice, 'changed').getByLabel('saving').waitFor();
  await message(alice, 'to be deleted').hover();
  await message(alice, 'to be deleted').getByRole('button', { name: 'Delete' }).click();
  await alice.getByLabel('deleting').waitFor();
  await alice.reload().catch(() => undefined);
  await serverOf().restart();
  await bubble(bob, 'changed').waitFor();
  await bubble(bob, 'This message was deleted.').waitFor();
});

test('whoever is at the end stays there when the composer, an editor or the window changes its size', async () => {
  const alice = await enter('Alice');
  for (let i = 0; i < 12; i++) await say(alice, `filling ${i}`);
  await say(alice, 'the last one');
  await message(alice, 'the last one').getByLabel('sent').waitFor();
  await alice.locator('#compose').fill(TALL);
  await isInPane(alice, message(alice, 'the last one'), 'above a tall composer');
  const box = await alice.locator('#compose').evaluate(area => area.getBoundingClientRect().height);
  assert.ok(box > 100 && box < 320, `the composer grows, within bounds: ${box} px`);
  await alice.locator('#compose').fill('x'.repeat(600));
  const [high, text] = await alice.locator('#compose').evaluate(area => [area.clientHeight, area.scrollHeight]);
  assert.ok(high > 60 && (high >= text || high > 140), `text without line ends is seen: ${high} of ${text} px`);
  await alice.locator('#compose').fill('');
  await message(alice, 'the last one').hover();
  await message(alice, 'the last one').getByRole('button', { name: 'Edit' }).click();
  const editor = alice.locator('.message form');
  await editor.waitFor();
  await isInPane(alice, editor.getByRole('button', { name: 'Save' }), 'Save is on the screen');
  await alice.keyboard.press('Escape');
  assert.equal(await alice.evaluate(() => document.activeElement.id), 'compose');
});

test('drafts and places are kept by chat, and Back goes to the chat before', async () => {
  await group('First', 3);
  await group('Second', 80);
  const alice = await enter('Alice');
  await line(alice, 'Second').click();
  await bubble(alice, 'Second 79').waitFor();
  // Whoever scrolls before the page has counted the chat as opened is taken back to its end: as often as it takes.
  await alice.waitForFunction(() => {
    if (document.querySelector('.to-end')) return true;
    document.querySelector('[role=log]').scrollTop = 200;
    return false;
  });
  await alice.locator('#compose').fill('half a thought');
  const place = () => alice.getByRole('log').evaluate(log => {
    const top = log.getBoundingClientRect().top;
    return [...log.querySelectorAll('[data-seq]')].find(item => item.getBoundingClientRect().bottom > top).dataset.seq;
  });
  const before = Number(await place());
  await line(alice, 'First').click();
  await bubble(alice, 'First 2').waitFor();
  assert.equal(await alice.locator('#compose').inputValue(), '');
  await alice.goBack();
  await bubble(alice, 'Second 40').waitFor();
  assert.equal(await alice.locator('#compose').inputValue(), 'half a thought');
  assert.ok(Math.abs(Number(await place()) - before) <= 1, 'where one was reading');
});

test('a refused message keeps its place and takes little of it', async () => {
  const alice = await enter('Alice');
  await say(alice, 'x '.repeat(20_000));
  const refused = alice.locator('.refused');
  await refused.getByRole('button', { name: 'Discard' }).waitFor();
  for (let i = 0; i < 3; i++) await say(alice, `after ${i}`);
  await bubble(alice, 'after 2').waitFor();
  await alice.waitForFunction(() => !document.querySelector('.sending:not(.refused)'));
  const order = await alice.locator('.message').evaluateAll(all => all.map(one => one.classList.contains('refused')));
  assert.deepEqual(order.slice(-4), [true, false, false, false]);
  assert.ok((await refused.boundingBox()).height < 160);
  await refused.getByRole('button', { name: 'Discard' }).click();
  await refused.waitFor({ state: 'detached' });
});

test('writing from right to left stands as it should', async () => {
  const alice = await enter('Alice');
  await say(alice, 'مرحبا بكم.');
  await message(alice, 'مرحبا بكم.').getByLabel('sent').waitFor();
  const direction = bubble(alice, 'مرحبا بكم.').evaluate(text => getComputedStyle(text).direction);
  assert.equal(await direction, 'rtl');
});

test('who comes and goes is seen at once', async () => {
  const alice = await enter('Alice');
  const bob = await enter('Bob');
  await alice.locator('.head').getByText(/2 online|1 online|3 members, [12] online/).waitFor({ timeout: 5_000 });
  await bob.context().close();
  await alice.locator('.head').getByText(/online/).waitFor({ state: 'detached', timeout: 5_000 });
});

test('an ended direct chat is begun again', async () => {
  const alice = await enter('Alice');
  const server = serverOf();
  const token = await server.token('alice');
  const { room } = await server.api('POST', '/api/chats', { kind: 'direct', user: 'bob' }, token);
  await line(alice, 'Bob').click();
  await alice.locator('.head').getByText(/ends in/).waitFor();
  await server.api('DELETE', `/api/chats/${room}`, undefined, token);
  await alice.getByText('This chat has ended.').waitFor();
  await alice.getByRole('button', { name: 'Start again' }).click();
  await say(alice, 'again');
  await message(alice, 'again').getByLabel(/sent|delivered/).waitFor();
});

test('a new chat by keyboard alone, also with somebody of a back end', async () => {
  const alice = await enter('Alice');
  await alice.getByRole('button', { name: 'New chat' }).click();
  await alice.keyboard.type('bo');
  await alice.getByRole('button', { name: /Bob @bob/ }).waitFor();
  await alice.keyboard.press('Enter');
  await alice.getByRole('button', { name: 'Leave out Bob' }).waitFor();
  await alice.keyboard.type('customer-42');
  await alice.getByRole('button', { name: /customer-42/ }).waitFor();
  await alice.keyboard.press('ArrowDown');
  await alice.keyboard.press('Enter');
  await alice.getByRole('button', { name: 'Leave out customer-42' }).waitFor();
  await alice.keyboard.type('x');
  await alice.keyboard.press('Escape');
  await alice.getByRole('dialog').waitFor({ state: 'hidden' });
});

test('whoever has written has read what came before', async () => {
  // The room that is made for a start: each wrote in turn, Alice the last message.
  const phone = { viewport: { width: 390, height: 780 } };
  const bob = await enter('Bob', phone);
  await line(bob, 'Welcome').getByLabel('1 unread').waitFor();
  await line(bob, 'Welcome').click();
  const newest = bob.locator('.unread-line + .message');
  await newest.getByText('What an operator sees of all this is on the admin port.').waitFor();
  const alice = await enter('Alice');
  await alice.locator('.message').nth(4).waitFor();
  assert.equal(await alice.locator('.unread-line').count(), 0);
});

test('the list says that the connection is gone, also when no chat is open', async () => {
  const bob = await enter('Bob', { viewport: { width: 390, height: 780 } });
  await bob.getByRole('button', { name: 'New chat' }).click();
  await bob.getByLabel('Find people').fill('ali');
  await bob.getByRole('button', { name: /Alice @alice/ }).click();
  allow.offline = true;
  await serverOf().kill();
  await bob.getByText('Reconnecting…').waitFor();
  await bob.getByRole('button', { name: 'Start chat' }).click();
  await bob.getByText('The server does not answer.').waitFor();
  await bob.getByRole('button', { name: 'Cancel' }).click();
  await serverOf().restart();
  await bob.getByText('Reconnecting…').waitFor({ state: 'detached' });
});

test('whoever is sent away from the chat that is open is told so', async () => {
  const { room, token } = await group('Closed circle', 1);
  const bob = await enter('Bob');
  await line(bob, 'Closed circle').click();
  await bubble(bob, 'Closed circle 0').waitFor();
  await serverOf().api('DELETE', `/api/chats/${room}/members/bob`, undefined, token);
  await bob.getByText('You are not in “Closed circle” any more.').waitFor();
  await line(bob, 'Closed circle').waitFor({ state: 'detached' });
});

test('a chat whose history can not be read for a moment shows it as soon as it can', async () => {
  await group('Tea', 3);
  const bob = await enter('Bob');
  let refused = 0;
  await sift(bob, ({ id, rpc }, answer) => {
    if (rpc?.method !== 'message.history' || refused === 2) return true;
    refused++;
    answer({ id, error: { code: 450, message: 'unavailable', temporary: true } });
    return false;
  });
  await bob.reload();
  await bubble(bob, 'Tea 2').waitFor();
  assert.equal(refused, 2);
});

test('a chat that was just begun is written in at once, however late its members are known', async () => {
  const alice = await enter('Alice');
  await sift(alice, ({ rpc }) => rpc?.method !== 'room.members');
  await alice.reload();
  await alice.getByRole('button', { name: 'New chat' }).click();
  await alice.getByLabel('Find people').fill('customer-42');
  await alice.getByRole('button', { name: /customer-42/ }).click();
  await alice.getByRole('button', { name: 'Start chat' }).click();
  await alice.getByRole('heading', { name: 'customer-42' }).waitFor();
  await say(alice, 'hello');
  await message(alice, 'hello').getByLabel(/sent|delivered/).waitFor();
});
