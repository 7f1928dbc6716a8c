// The demo page as two people use it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import AxeBuilder from '@axe-core/playwright';
import { SHOTS, allow, bubble, enter, message, say, serverOf, tab } from './demo.mjs';

// Where brokers and a database take the cores as well, a page waits for its turn, too.
const FRAME_MS = Number(process.env.TEST_FRAME_MS || 50);

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
  await alice.getByLabel('Edit the message').fill('hello, dear bob');
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
  allow.offline = true;
  await serverOf().kill();
  await alice.getByText('Reconnecting…').waitFor();
  await bob.getByText('Reconnecting…').waitFor();
  for (let i = 0; i < 5; i++) {
    await say(alice, `alice after ${i}`);
    await say(bob, `bob after ${i}`);
  }
  await alice.screenshot({ path: `${SHOTS}offline.png` });
  await serverOf().restart();
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
  const token = await serverOf().token('alice');
  const { rooms } = await serverOf().api('GET', '/api/chats', undefined, token);
  const path = `/api/chats/${rooms[0].room}/messages`;
  for (let i = 0; i < 5_000; i += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, k) =>
      serverOf().api('POST', path, { client_id: `many-${i + k}`, body: `message ${i + k} ${'lorem ipsum '.repeat((i + k) % 12)}` }, token)));
  }
  const page = await enter('Bob');
  await page.locator('.message').nth(20).waitFor();
  // What a step costs the main thread, in its own time: other programs of the machine do not count.
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const used = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'TaskDuration').value * 1_000;
  };
  const steps = [];
  let most = 0;
  for (let turn = 0; turn < 400 && !(await page.getByText('This is the beginning.').isVisible()); turn++) {
    const before = await used();
    await page.evaluate(() => {
      const log = document.querySelector('[role=log]');
      log.scrollTop = Math.max(0, log.scrollTop - 1_500);
      return new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    });
    steps.push(await used() - before);
    if (turn % 10 === 0) most = Math.max(most, await page.evaluate(() => document.querySelectorAll('*').length));
  }
  await page.getByText('This is the beginning.').waitFor();
  await bubble(page, 'Welcome to Kervan! This room was made for you to try things out.').waitFor();
  // Two in some three hundred may be the garbage collector's.
  const [first, , longest] = steps.toSorted((a, b) => b - a);
  console.log(`elements at most: ${most}; ${steps.length} steps, the longest ${first.toFixed(1)}, the third ${longest.toFixed(1)} ms`);
  assert.ok(most < 3_000, `${most} elements`);
  assert.ok(longest > 0 && longest < FRAME_MS, `no frame is held up for ${FRAME_MS} ms: ${longest} ms`);
  await page.getByRole('button', { name: /Newest|new/ }).last().click();
  await page.locator('.message').last().waitFor();
});

test('an account is made, signs out and in again; a wrong password is said', async () => {
  const page = await tab();
  await page.getByRole('button', { name: 'Create an account' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Carol');
  await page.getByLabel('Username').fill('carol');
  await page.getByLabel('Password').fill('a good password');
  await page.getByRole('button', { name: 'Create account' }).click();
  await page.getByText('No chats yet.').waitFor();
  await page.reload();
  await page.getByText('No chats yet.').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Username or e-mail').fill('carol');
  await page.getByLabel('Password').fill('a wrong password');
  allow.refused = true;
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('wrong name or password').waitFor();
  await page.getByLabel('Password').fill('a good password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('No chats yet.').waitFor();
});

test('an answer that is cut off is told as none', async () => {
  const page = await tab();
  await page.route('**/api/config', route => route.fulfill({ contentType: 'application/json', body: '{"version":' }));
  await page.reload();
  await page.getByText('The server does not answer. Reload to try again.').waitFor();
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
