// What README and docs print is run as it is printed, against the built program; every link leads somewhere.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { before, test } from 'node:test';
import { anchors, blocks, links, root } from './blocks.mjs';
import { LANGUAGES, PAGES } from './list.mjs';
import { Terminal, binary } from './terminal.mjs';

const markdown = folder => readdirSync(join(root, folder)).filter(name => name.endsWith('.md')).map(name => join(folder, name));
const pages = ['README.md', 'examples/README.md', ...markdown('docs')];

const has = program => {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { env: { PATH: `${process.env.PATH}:/usr/sbin` } });
    return true;
  } catch {
    return false;
  }
};

// A smallest JPEG that a reader of images takes.
const CAMEL = '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////' +
  'wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z';

const ways = {
  async serve(terminal, block, { says }) {
    const banner = await terminal.serve(block.text);
    if (says) assert.match(banner, says);
  },
  async shell(terminal, block, { says, camel }) {
    if (camel) writeFileSync(join(terminal.folder, 'camel.jpg'), Buffer.from(CAMEL, 'base64'));
    const out = await terminal.shell(block.text);
    if (says) assert.match(out, says);
  },
  save(terminal, block, { as }) {
    terminal.write(as, block.text);
  },
  async node(terminal, block, { says }) {
    terminal.useExamplesPackages();
    terminal.write('block.mjs', block.text);
    assert.match(await terminal.shell('export TOKEN=$(kervan token --user alice)\nnode block.mjs'), says);
  },
  async python(terminal, block, { says }) {
    terminal.write('block.py', block.text);
    assert.match(await terminal.shell(`export TOKEN=$(kervan token --user alice)\n${terminal.python} block.py`), says);
  },
  async syntax(terminal, block) {
    terminal.write('block.mjs', block.text);
    await terminal.shell('node --check block.mjs');
  },
  json(terminal, block) {
    // One value, or one a line.
    try {
      JSON.parse(block.text);
    } catch {
      block.text.trim().split('\n').forEach(line => JSON.parse(line));
    }
  },
  // A file of the configuration: the whole of it, or a part. Production needs a secret.
  async config(terminal, block) {
    terminal.write('block.toml', block.text);
    const env = { JWT_SECRET: '0123456789abcdef0123456789abcdef' };
    const { code, out, errors } = await terminal.run('kervan', ['config', 'check', '--config', 'block.toml'], env);
    assert.equal(code, 0, out + errors);
    // What says where it stands is there for the blocks after it.
    const [, path] = /^# (\/\S+)/.exec(block.text) ?? [];
    if (!path) return;
    mkdirSync(dirname(terminal.here(path)), { recursive: true });
    copyFileSync(join(terminal.folder, 'block.toml'), terminal.here(path));
  },
  async refused(terminal, block, { says }) {
    terminal.write('block.toml', block.text);
    const { code, errors } = await terminal.run('kervan', ['config', 'check', '--config', 'block.toml']);
    assert.equal(code, 2);
    assert.match(errors, says);
  },
  async refusedKeys(terminal, block, { says }) {
    terminal.write('keys.toml', block.text);
    const { code, errors } = await terminal.run('kervan', ['token', 'check', 'x'], { KERVAN_AUTH__KEYS_FILE: 'keys.toml' });
    assert.equal(code, 2);
    assert.match(errors, says);
  },
  // The client's lines are sent over a WebSocket, and what is answered has the shape that is printed.
  async frames(terminal, block) {
    const token = (await terminal.shell('kervan token --user alice')).trim();
    await talk(terminal.public, token, block.text.trim().split('\n'));
  },
  async nginx(terminal, block) {
    assert.ok(has('nginx'), 'nginx is missing: scripts/packages');
    const text = terminal.here(block.text);
    const inServer = /^\s*location/m.test(text) && !/^\s*server\s*\{/m.test(text);
    const tls = text.replace(/^\s*(ssl_certificate(_key)?|ssl_trusted_certificate)\s.*$/gm, '').replace(/(listen[^;]*) ssl/g, '$1');
    const map = /map \$http_upgrade/.test(tls.replace(/#.*$/gm, '')) ? '' : "map $http_upgrade $connection_upgrade { default upgrade; '' close; }";
    const body = inServer ? `server { listen 127.0.0.1:1; ${tls} }` : tls;
    const file = terminal.write('nginx.conf', `pid ${terminal.home}/nginx.pid; error_log stderr;\nevents {}\nhttp {\naccess_log off;\n${map}\n${body}\n}\n`);
    const env = { PATH: `${process.env.PATH}:/usr/sbin` };
    const { code, errors } = await terminal.run('nginx', ['-t', '-c', file, '-p', terminal.home], env);
    assert.equal(code, 0, errors);
  },
  async unit(terminal, block) {
    const [, name] = /^# \S*\/([\w-]+\.\w+)$/m.exec(block.text);
    const file = terminal.write(name, block.text);
    const settings = block.text.split('\n').filter(line => !/^(#|\[.*\]$|$)/.test(line));
    for (const line of settings) assert.match(line, /^[A-Z][A-Za-z]+=/, 'a setting of a unit');
    if (!has('systemd-analyze')) return console.log(`${block.file}:${block.line}: there is no systemd-analyze here; the lines alone were looked at`);
    const { code, errors } = await terminal.run('systemd-analyze', ['verify', file]);
    assert.ok(code === 0 && !/Unknown|Failed to parse|not executable/.test(errors), errors);
  },
};

// Lines that begin a request are sent; a line with the same id after it is the shape of its answer.
async function talk(address, token, lines) {
  const socket = new (globalThis.WebSocket ?? (await import(join(root, 'examples/node_modules/ws/wrapper.mjs'))).default)(
    `ws://${address}/connection/websocket`);
  const waiting = new Map();
  socket.onmessage = ({ data }) => {
    for (const line of data.split('\n').filter(line => line !== '{}')) {
      const message = JSON.parse(line);
      waiting.get(message.id)?.(message);
    }
  };
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  const ask = request => new Promise((resolve, reject) => {
    // Pauses: the bound of a wait for an event.
    setTimeout(() => reject(new Error(`no answer to ${JSON.stringify(request)}`)), 20_000).unref();
    waiting.set(request.id, resolve);
    socket.send(JSON.stringify(request));
  });
  try {
    if (!lines[0].includes('"connect"')) assert.ok((await ask({ id: 1, connect: { token } })).connect);
    const made = lines[0].includes('"connect"') ? undefined : await ask({ id: 2, rpc: { method: 'room.create', data: { kind: 'direct', user: 'bob' } } });
    const seen = new Set();
    for (const line of lines) {
      // What is left out in print is nothing that a parser knows.
      const { id } = /^\{"id":(?<id>\d+)/.exec(line).groups;
      if (seen.has(id)) continue;
      seen.add(id);
      const here = line.replace('<paste the token>', token).replace(/"room":"[0-9a-f-]{36}"/, `"room":"${made?.rpc.data.room}"`);
      const answer = await ask(JSON.parse(here));
      assert.equal(answer.error, undefined, `${line}: ${JSON.stringify(answer)}`);
      const printed = lines.find(other => other !== line && other.startsWith(`{"id":${id},`));
      if (!printed) continue;
      // A key with null is none: everything printed is there, by name.
      const names = [...printed.replace(/"data":\{"[^}]*\}/, '').matchAll(/"(\w+)":/g)].map(([, name]) => name);
      for (const name of names) assert.ok(JSON.stringify(answer).includes(`"${name}":`), `${name} is not in ${JSON.stringify(answer)}`);
    }
  } finally {
    socket.close();
  }
}

test('every block is run, or is listed with the reason why not', () => {
  const unknown = [];
  for (const page of pages) {
    const entries = [...(PAGES[page] ?? [])];
    for (const block of blocks(page)) {
      const at = entries.findIndex(entry => block.text.startsWith(entry.starts));
      if (at >= 0) entries.splice(at, 1);
      else if (!LANGUAGES[block.language]) unknown.push(`${page}:${block.line}: ${block.text.split('\n')[0]}`);
    }
    unknown.push(...entries.map(entry => `list.mjs: ${page}: there is no block that starts with ${entry.starts}`));
  }
  assert.deepEqual(unknown, []);
});

for (const page of pages) {
  const entries = [...(PAGES[page] ?? [])];
  const plan = blocks(page).map(block => {
    const at = entries.findIndex(entry => block.text.startsWith(entry.starts));
    return { block, how: at >= 0 ? entries.splice(at, 1)[0] : LANGUAGES[block.language] ?? { not: 'not listed' } };
  });
  for (const { block, how } of plan.filter(({ how }) => how.not)) {
    console.log(`not run: ${block.file}:${block.line}: ${how.not}`);
  }
  if (!plan.some(({ how }) => how.run)) continue;
  test(`${page} works as it is printed`, async context => {
    const terminal = new Terminal();
    context.after(() => terminal.end());
    for (const { block, how } of plan.filter(({ how }) => how.run)) {
      await context.test(`${page}:${block.line} ${how.run}`, async () => {
        if (how.server) await terminal.serve(how.server);
        await ways[how.run](terminal, block, how);
      });
    }
  });
}

test('every link leads to a file and a heading that are there', () => {
  const dead = [];
  const all = [...pages, ...markdown('docs/decisions'), 'CONTRIBUTING.md', 'CHANGELOG.md'];
  for (const page of all) {
    for (const target of links(page)) {
      if (/^(https?|mailto):/.test(target)) continue;
      const [path, anchor] = target.split('#');
      const file = path ? normalize(join(dirname(page), path)) : page;
      const there = existsSync(join(root, file)) && (!anchor || !file.endsWith('.md') || anchors(file).has(anchor));
      if (!there) dead.push(`${page}: ${target}`);
    }
  }
  assert.deepEqual(dead, []);
});

before(() => assert.ok(existsSync(binary), `no binary at ${binary}`));
