// The demo page in Chromium for the tests: a server of its own for each, and nothing may be wrong in the console.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, afterEach, before, beforeEach } from 'node:test';
import { chromium } from 'playwright-core';
import { Server } from './server.mjs';

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
export const SHOTS = new URL('../../target/screenshots/', import.meta.url).pathname;
mkdirSync(SHOTS, { recursive: true });

// What the browser itself may report, at any time after it was to be: connections that are gone, and answers 401.
export const allow = { offline: false, refused: false };
const expected = text => (allow.offline && /ERR_CONNECTION|WebSocket|fetching the script/.test(text)) || (allow.refused && /401/.test(text));

// What the server's environment says besides: set by a file before its tests.
export const settings = {};

let browser, server, faults;
export const serverOf = () => server;
before(async () => { browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGS }); });
after(() => browser.close());
beforeEach(async () => { server = await Server.start(settings); faults = []; allow.offline = allow.refused = false; });
afterEach(async () => {
  await Promise.all(browser.contexts().map(context => context.close()));
  await server.stop();
  assert.deepEqual(faults, [], 'nothing is wrong in the console, and nothing is asked of anybody else');
});

export async function tab(options = {}) {
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

export async function enter(name, options) {
  const page = await tab(options);
  await page.getByRole('button', { name: `Continue as ${name}` }).click();
  await page.getByRole('button', { name: /Welcome/ }).waitFor();
  return page;
}

// From the next connection on, the page's commands go to the server only if `passes(command, answer)` says so.
export const sift = (page, passes) => page.routeWebSocket(/connection\/websocket/, near => {
  const server = near.connectToServer();
  near.onMessage(text => {
    const passed = text.split('\n').filter(line => passes(JSON.parse(line), answer => near.send(JSON.stringify(answer))));
    if (passed.length) server.send(passed.join('\n'));
  });
});

export async function say(page, text) {
  await page.locator('#compose').fill(text);
  await page.locator('#compose').press('Enter');
}

export const bubble = (page, text) => page.getByRole('log').getByText(text, { exact: true });
export const message = (page, text) => page.locator('.message', { has: page.getByText(text, { exact: true }) });
