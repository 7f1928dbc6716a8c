// Emoji on messages.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enter, message, say } from './demo.mjs';

test('an emoji on a message is counted for both, kept over a reload, and taken back', async () => {
  const [alice, bob] = [await enter('Alice'), await enter('Bob')];
  for (const page of [alice, bob]) await page.getByRole('button', { name: /Welcome/ }).click();
  await say(alice, 'tea?');
  await message(bob, 'tea?').getByRole('button', { name: 'React', exact: true }).click();
  await message(bob, 'tea?').getByRole('button', { name: 'React with 👍' }).click();
  await message(alice, 'tea?').getByRole('button', { name: '👍 1' }).click();
  await message(bob, 'tea?').getByRole('button', { name: '👍 2' }).waitFor();
  await bob.reload();
  await bob.getByRole('button', { name: /Welcome/ }).click();
  const chip = message(bob, 'tea?').getByRole('button', { name: '👍 2' });
  await chip.waitFor();
  assert.equal(await chip.getAttribute('aria-pressed'), 'true');
  await chip.click();
  await message(alice, 'tea?').getByRole('button', { name: '👍 1' }).waitFor();
});
