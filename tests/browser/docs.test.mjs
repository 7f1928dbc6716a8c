// The viewer of the API's documents: all of it from the program, nothing from anywhere else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';
import { Server } from './server.mjs';

test('every operation of both documents is there to be read', async context => {
  const server = await Server.start();
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  context.after(async () => { await browser.close(); await server.stop(); });
  const page = await (await browser.newContext()).newPage();
  const faults = [];
  page.on('console', message => { if (message.type() === 'error') faults.push(message.text()); });
  page.on('pageerror', error => faults.push(String(error)));
  page.on('request', request => { if (!request.url().startsWith(server.url)) faults.push(`foreign: ${request.url()}`); });
  await page.goto(`${server.url}docs`);
  await page.getByText('POST /api/uploads').waitFor();
  const [rest, socket] = await Promise.all(['openapi', 'asyncapi'].map(async name => (await fetch(`${server.url}api/${name}.json`)).json()));
  const operations = Object.values(rest.paths).flatMap(Object.keys).length + Object.keys(socket.operations).length;
  assert.equal(await page.locator('.operation').count(), operations);
  await page.getByText('message.send', { exact: true }).click();
  await page.locator('.operation[open] th', { hasText: 'client_id' }).waitFor();
  await page.screenshot({ path: new URL('../../target/screenshots/docs.png', import.meta.url).pathname });
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(violations.filter(fault => ['serious', 'critical'].includes(fault.impact)).map(fault => [fault.id, fault.nodes[0].html]), []);
  assert.deepEqual(faults, []);
});
