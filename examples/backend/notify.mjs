// A back end that tells a user something: JWT_SECRET=… node notify.mjs USER TEXT [URL]. It signs a token for a user of its
// own ("shop") with the secret that it shares with Kervan (which was started with the same JWT_SECRET), opens the direct chat, and
// sends. No package is needed.
//
// The order's number names the message: told twice, the user reads it once.

import { createHmac } from 'node:crypto';

const [user, text, url = 'http://127.0.0.1:3000', order = 'order-1001'] = process.argv.slice(2);
if (!user || !text || !process.env.JWT_SECRET) {
  console.error('usage: JWT_SECRET=… node notify.mjs USER TEXT [URL]     (the server runs with the same JWT_SECRET)');
  process.exit(2);
}

function token(sub, seconds = 60) {
  const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub, exp: Math.floor(Date.now() / 1000) + seconds })}`;
  return `${head}.${createHmac('sha256', process.env.JWT_SECRET).update(head).digest('base64url')}`;
}

async function call(method, path, body) {
  const headers = { authorization: `Bearer ${token('shop')}`, 'content-type': 'application/json' };
  const answer = await fetch(url + path, { method, headers, body: JSON.stringify(body) })
    .catch(error => fail(`no answer from ${url}: ${error.cause?.message ?? error.message}`));
  const json = await answer.json();
  if (!answer.ok) fail(`${answer.status} ${json.error.code}: ${json.error.message}`);
  return json;
}

function fail(why) {
  console.error(why);
  process.exit(1);
}

const { room } = await call('POST', '/api/chats', { kind: 'direct', user });
const sent = await call('POST', `/api/chats/${room}/messages`, { client_id: order, body: text, metadata: { order } });
console.log(`${sent.seq} ${sent.duplicate ? 'was told before' : 'told'}`);
