// Every example does what its first lines say, against the real server.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { KEY, SECRET, Server, token } from '../sdk/node/server.mjs';
import { Program, examples } from './program.mjs';

let server;
before(async () => { server = await Server.start(); });
after(() => server.stop());

const node = (context, file, user, args = []) =>
  new Program(context, process.execPath, [file, ...args, server.url], { TOKEN: token(user) });
const python = (context, user, args) =>
  new Program(context, process.env.PYTHON, ['python/chat.py', ...args, server.url], { TOKEN: token(user) });
const says = (sender, body) => line => line.endsWith(`\t${sender}: ${body}`);

test('two people chat, one in Node and one in Python, and a killed server costs no line and doubles none', async context => {
  const ann = node(context, 'node/chat.mjs', 'ann', ['ben']);
  const ben = python(context, 'ben', ['ann']);
  ann.type('hello ben');
  await ben.line(says('ann', 'hello ben'), 'ben sees the line');
  ben.type('hello ann');
  await ann.line(says('ben', 'hello ann'), 'ann sees the answer');

  await server.end('SIGKILL');
  ann.type('are you there?');
  ben.type('I am');
  await server.restart();
  await ann.line(says('ben', 'I am'), 'ann sees what was said meanwhile');
  await ben.line(says('ann', 'are you there?'), 'ben likewise');
  for (const one of [ann, ben]) {
    const bodies = one.lines.map(line => line.split('\t')[1]);
    assert.equal(new Set(bodies).size, bodies.length, one.lines.join('\n'));
  }
});

test('the bot joins the room that it is invited to and answers once, also after it was started again', async context => {
  const first = node(context, 'bot/bot.mjs', 'bot');
  await first.line(line => line === 'listening as bot', 'the bot is ready');
  const host = node(context, 'node/chat.mjs', 'host', ['bot']);
  host.type('!echo one');
  await host.line(says('bot', 'one'), 'the bot answers');
  first.child.kill('SIGKILL');
  await first.ended;
  const second = node(context, 'bot/bot.mjs', 'bot');
  await second.line(line => line === 'listening as bot', 'the bot is back');
  host.type('!echo two');
  await host.line(says('bot', 'two'), 'the bot answers again');
  assert.equal(host.lines.filter(says('bot', 'one')).length, 1);
});

test('a chat with nothing but curl is one with Node', async context => {
  const ann = node(context, 'node/chat.mjs', 'ann', ['cur']);
  const base = server.url.replace('ws:', 'http:').replace('/connection/websocket', '');
  const curl = new Program(context, 'curl/chat.sh', ['ann', 'hello from curl', base], { TOKEN: token('cur') });
  await ann.line(says('cur', 'hello from curl'), 'ann sees it');
  assert.equal(await curl.ended, 0, curl.errors);
  assert.match(curl.lines.join(), /"messages":\[.*hello from curl/);
});

test('curl says any text as it is, and fails when it is not said', async context => {
  const ann = node(context, 'node/chat.mjs', 'ann', ['quo']);
  const base = server.url.replace('ws:', 'http:').replace('/connection/websocket', '');
  const run = (text, tokenOf, at = base) => new Program(context, 'curl/chat.sh', ['ann', text, at], { TOKEN: tokenOf });
  const said = String.raw`she said "hi" \ to <them> & 'us' – 100 %`;
  const good = run(said, token('quo'));
  assert.equal(await good.ended, 0, good.errors);
  await ann.line(says('quo', said), 'ann sees the very text');
  const lines = run('one\ntwo\tthree', token('quo'));
  assert.equal(await lines.ended, 0, lines.errors);
  await ann.line(line => line.endsWith('quo: one'), 'the first of two lines');
  const refused = run('hello', 'nonsense');
  assert.equal(await refused.ended, 1);
  assert.match(refused.errors, /no chat with ann: .*unauthorized/);
  assert.equal(await run('hello', token('quo'), 'http://127.0.0.1:1').ended, 1);
  assert.equal(await run('', token('quo')).ended, 1, 'an empty message is none');
});

test('every example says what is missing or wrong, and ends', async context => {
  const base = server.url.replace('ws:', 'http:').replace('/connection/websocket', '');
  const ends = async (command, args, env, code, said) => {
    const one = new Program(context, command, args, env);
    assert.equal(await one.ended, code, `${args}: ${one.errors}`);
    assert.match(one.errors, said, args.join(' '));
  };
  const bad = { TOKEN: token('x').slice(0, -4) };
  for (const [command, file] of [[process.execPath, 'node/chat.mjs'], [process.execPath, 'bot/bot.mjs'], [process.env.PYTHON, 'python/chat.py']]) {
    const peer = file.includes('bot') ? [] : ['ann'];
    await ends(command, [file, ...peer, server.url], {}, file.endsWith('py') ? 1 : 2, /usage: TOKEN=/);
    await ends(command, [file, ...peer, server.url], bad, 1, /refused for good: .*3500/);
  }
  await ends(process.execPath, ['backend/notify.mjs', 'ann', 'hello', base], {}, 2, /usage: JWT_SECRET=/);
  await ends(process.execPath, ['backend/notify.mjs', 'ann', 'hello', base], { JWT_SECRET: 'another' }, 1, /401 unauthorized/);
  await ends(process.execPath, ['backend/notify.mjs', 'ann', 'hello', 'http://127.0.0.1:1'], { JWT_SECRET: SECRET }, 1, /no answer from/);
  await ends(process.execPath, ['backend/publish.mjs', 'news', 'hello', base], {}, 2, /usage: API_KEY=/);
  await ends(process.execPath, ['backend/publish.mjs', 'news', 'hello', base], { API_KEY: 'another' }, 1, /not published/);
});

test('a chat without a server says that there is none', async context => {
  const alone = new Program(context, process.execPath, ['node/chat.mjs', 'ben', 'ws://127.0.0.1:1/connection/websocket'], { TOKEN: token('ann') });
  for (let waited = 0; !/no connection to ws:/.test(alone.errors); waited++) {
    assert.ok(waited < 200, `it says nothing: ${alone.errors}`);
    await new Promise(resolve => alone.child.stderr.once('data', resolve));
  }
});

test('a back end tells a user something once, however often it is asked to', async context => {
  const dan = node(context, 'node/chat.mjs', 'dan', ['shop']);
  const base = server.url.replace('ws:', 'http:').replace('/connection/websocket', '');
  for (const said of ['2 told', '2 was told before']) {
    const shop = new Program(context, process.execPath, ['backend/notify.mjs', 'dan', 'on its way', base], { JWT_SECRET: SECRET });
    await shop.line(line => line === said, said);
  }
  await dan.line(says('shop', 'on its way'), 'dan reads it');
  assert.equal(dan.lines.filter(says('shop', 'on its way')).length, 1);
});

test('a back end publishes by the server API, in the name of a member', async context => {
  const eve = node(context, 'node/chat.mjs', 'eve', ['desk']);
  const base = server.url.replace('ws:', 'http:').replace('/connection/websocket', '');
  const answer = await fetch(`${base}/api/chats`, { method: 'POST', body: JSON.stringify({ kind: 'direct', user: 'eve' }),
    headers: { authorization: `Bearer ${token('desk')}`, 'content-type': 'application/json' } });
  const { channel } = await answer.json();
  const desk = new Program(context, process.execPath, ['backend/publish.mjs', channel, 'you are next', base],
    { API_KEY: KEY, USER_ID: 'desk' });
  await desk.line(line => line.startsWith('published at '), 'it is published');
  await eve.line(says('desk', 'you are next'), 'eve reads it');
});

test('two tabs of the page without a build step hear each other', async context => {
  const files = { '/': ['text/html', 'browser/index.html'],
    '/centrifuge.js': ['text/javascript', 'node_modules/centrifuge/dist/centrifuge.js'] };
  const pages = createServer((request, response) => {
    const [type, file] = files[request.url.split('?')[0]] ?? [];
    response.writeHead(file ? 200 : 404, { 'content-type': type ?? 'text/plain' });
    response.end(file && readFileSync(join(examples, file)));
  });
  await new Promise(resolve => pages.listen(0, '127.0.0.1', resolve));
  context.after(() => pages.close());
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'] });
  context.after(() => browser.close());
  const open = async user => {
    const page = await browser.newPage();
    const query = new URLSearchParams({ token: token(user), url: server.url });
    await page.goto(`http://127.0.0.1:${pages.address().port}/?${query}`);
    return page;
  };
  const [ann, ben] = [await open('ann'), await open('ben')];
  const say = async (page, text) => { await page.fill('#text', text); await page.press('#text', 'Enter'); };
  await say(ann, 'is anybody here?');
  await ben.getByText('ann: is anybody here?').waitFor();
  await say(ben, 'I am');
  await ann.getByText('ben: I am').waitFor();
});
