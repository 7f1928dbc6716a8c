// Pushes to the demo page. Headless Chromium has no push service, so `PushManager.subscribe` is replaced by one that names a service
// of the test's own; what came there is handed to the page's worker as Chromium itself would.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createECDH, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { allow, enter, say, serverOf, settings } from './demo.mjs';

const MS = 30_000;
const QUESTION = 'Hear of answers while this page is closed?';
const key = /vapid_key = "(.+)"/.exec(execFileSync(process.env.KERVAN_BIN, ['vapid'], { encoding: 'utf8' }))[1];
const pushing = {
  KERVAN_NOTIFICATIONS__VAPID_KEY: key,
  KERVAN_NOTIFICATIONS__VAPID_SUBJECT: 'mailto:tests@example.com',
  KERVAN_NOTIFICATIONS__WEB_PUSH_ANYWHERE: 'true',
  KERVAN_NOTIFICATIONS__AFTER: '1s',
};
Object.assign(settings, pushing);

const service = createServer((request, response) => {
  request.resume().on('end', () => {
    response.writeHead(201).end();
    service.emit('pushed', request.url, request.headers);
  });
});
before(async () => { await once(service.listen(0, '127.0.0.1'), 'listening'); });
after(() => { service.closeAllConnections(); service.close(); });

const browserKey = createECDH('prime256v1').generateKeys('base64url');
const subscription = () => ({
  endpoint: `http://127.0.0.1:${service.address().port}/of-bob`,
  keys: { p256dh: browserKey, auth: randomBytes(16).toString('base64url') },
});

// Bob, in a browser that was not asked yet whether it shows notifications, and says yes if it is.
async function bobEnters() {
  const page = await enter('Bob');
  await page.context().grantPermissions(['notifications']);
  await page.addInitScript(subscription => {
    let permission = localStorage.getItem('test.permission') ?? 'default';
    window.Notification = class {
      static get permission() { return permission; }
      static async requestPermission() { localStorage.setItem('test.permission', permission = 'granted'); return permission; }
    };
    PushManager.prototype.subscribe = async options => {
      window.subscribedWith = options;
      return { toJSON: () => subscription };
    };
  }, subscription());
  await page.reload();
  await page.getByRole('button', { name: /Welcome/ }).waitFor();
  return page;
}

const registered = page => page.evaluate(async () => Boolean(await navigator.serviceWorker.getRegistration()));

test('once one has written something the page asks; what is pushed is shown by its worker', { timeout: 4 * MS }, async () => {
  const [alice, bob] = [await enter('Alice'), await bobEnters()];
  assert.equal(await bob.getByText(QUESTION).count(), 0);
  await say(alice, 'hello');
  await bob.getByRole('log').getByText('hello', { exact: true }).waitFor();
  assert.deepEqual([await bob.getByText(QUESTION).count(), await registered(bob)], [0, false], 'nothing before one has written');
  await say(bob, 'I have to go');
  await bob.getByText(QUESTION).waitFor();
  const known = bob.waitForResponse(answer => answer.url().includes('/api/users/me/devices/browser-'), { timeout: MS });
  await bob.getByRole('button', { name: 'Yes' }).click();
  assert.equal((await known).status(), 200);
  const { web_push_key } = await (await fetch(new URL('/api/config', serverOf().url))).json();
  assert.deepEqual(await bob.evaluate(() => window.subscribedWith), { userVisibleOnly: true, applicationServerKey: web_push_key });
  assert.equal(await bob.getByText(QUESTION).count(), 0);

  // The page is closed; another one of the same address can ask what its worker shows.
  const witness = await bob.context().newPage();
  await witness.goto(new URL('/livez', serverOf().url).href);
  await bob.close();
  // Pauses: a bound, for a push that never comes.
  const pushed = once(service, 'pushed', { signal: AbortSignal.timeout(MS) });
  await say(alice, 'are you there?');
  const [path, headers] = await pushed;
  assert.deepEqual([path, headers['content-encoding'], headers.urgency], ['/of-bob', 'aes128gcm', 'high']);

  const chromium = await witness.context().newCDPSession(witness);
  const registration = new Promise((resolve, reject) => {
    chromium.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => registrations.length && resolve(registrations[0]));
    // Pauses: a bound, too.
    AbortSignal.timeout(MS).onabort = () => reject(new Error('no worker is registered'));
  });
  await chromium.send('ServiceWorker.enable');
  const { registrationId } = await registration;
  const data = JSON.stringify({ title: 'New message', body: 'alice wrote', data: { room: 'a-room' } });
  await chromium.send('ServiceWorker.deliverPushMessage', { origin: new URL(serverOf().url).origin, registrationId, data });
  const shown = await witness.waitForFunction(async () => {
    const notifications = await (await navigator.serviceWorker.ready).getNotifications();
    return notifications.length && notifications.map(({ title, body, tag, data }) => ({ title, body, tag, data }));
  }, undefined, { timeout: MS, polling: 100 });
  assert.deepEqual(await shown.jsonValue(),
    [{ title: 'New message', body: 'alice wrote', tag: 'kervan.push.a-room', data: { room: 'a-room' } }]);
});

test('a no is kept, and leaves no worker', { timeout: 4 * MS }, async () => {
  const bob = await bobEnters();
  await say(bob, 'one');
  await bob.getByText(QUESTION).waitFor();
  await bob.getByRole('button', { name: 'No', exact: true }).click();
  await bob.reload();
  await say(bob, 'two');
  await bob.getByRole('log').getByText('two', { exact: true }).waitFor();
  assert.deepEqual([await bob.getByText(QUESTION).count(), await registered(bob)], [0, false]);
});

test('a server that does not push takes the worker away', { timeout: 4 * MS }, async () => {
  const bob = await bobEnters();
  await say(bob, 'one');
  await bob.getByRole('button', { name: 'Yes' }).click();
  await bob.waitForFunction(async () => Boolean(await navigator.serviceWorker.getRegistration()), undefined, { timeout: MS, polling: 100 });
  allow.offline = true;
  await serverOf().kill();
  serverOf().settings = {};
  await serverOf().restart();
  await bob.reload();
  await bob.getByRole('button', { name: /Welcome/ }).waitFor();
  await bob.waitForFunction(async () => !(await navigator.serviceWorker.getRegistration()), undefined, { timeout: MS, polling: 100 });
  await say(bob, 'two');
  await bob.getByRole('log').getByText('two', { exact: true }).waitFor();
  assert.equal(await bob.getByText(QUESTION).count(), 0);
});
