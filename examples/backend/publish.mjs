// A back end that publishes by the server API: API_KEY=… node publish.mjs CHANNEL TEXT [URL]. No package is needed, and any
// client library of Centrifugo's server API does as well. Kervan is started with that key: KERVAN_API__KEY=… cargo run --release
//
// In an open channel the text is the data; in a room:<uuid> somebody says it: USER_ID=… names a member of the room.

import { randomUUID } from 'node:crypto';

const [channel, text, url = 'http://127.0.0.1:3000'] = process.argv.slice(2);
if (!channel || !text || !process.env.API_KEY) {
  console.error('usage: API_KEY=… node publish.mjs CHANNEL TEXT [URL]     (the server runs with the same KERVAN_API__KEY)');
  process.exit(2);
}

// Names this publication: however often it has to be asked for, it is published once.
const idempotency_key = randomUUID();

async function publish(attempt = 1) {
  const headers = { 'x-api-key': process.env.API_KEY, 'content-type': 'application/json' };
  const body = JSON.stringify({ channel, data: { body: text }, idempotency_key, user: process.env.USER_ID });
  try {
    const answer = await fetch(`${url}/api/publish`, { method: 'POST', headers, body });
    return { status: answer.status, ...(await answer.json()) };
  } catch (unreachable) {
    if (attempt === 5) throw unreachable;
    await new Promise(resolve => setTimeout(resolve, 200 * 2 ** attempt));
    return publish(attempt + 1);
  }
}

const { result, error } = await publish().catch(unreachable => {
  return { error: { code: 'no answer', message: `${url}: ${unreachable.cause?.message ?? unreachable.message}` } };
});
if (error) {
  console.error(`not published: ${error.code}: ${error.message}`);
  process.exit(1);
}
console.log(`published at ${result.offset}`);
