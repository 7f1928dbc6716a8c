// A `kervan serve` of its own in a temporary folder, tokens, and a TCP relay that can be cut.

import { spawn, execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, openSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const KEY = 'the key of a back end, long enough for a test';
export const SECRET = 'the secret of a test run, long enough for HS256';
const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
// How long a server may take to start. On a Kafka it makes topics first.
const START_MS = Number(process.env.TEST_START_SECONDS || 20) * 1000;
export const binary = process.env.KERVAN_BIN || join(root, 'target/release/kervan');

// Only what is said here configures the child: Kervan reads its environment.
const env = { PATH: process.env.PATH };

const CONFIG = `
[server]
admin_port = 0
ping_interval = "1s"
pong_timeout = "500ms"
[auth]
hmac_secret = "${SECRET}"
[api]
key = "${KEY}"
[limits]
messages_per_minute = 0
changes_per_minute = 0
questions_per_minute = 0
connections_per_address = 0
[[channels]]
namespace = ""
[[channels]]
namespace = "private"
token_required = true
`;

const base64url = value => Buffer.from(value).toString('base64url');

// A connection token, or with `channel` in the claims a subscription token.
export function token(user, seconds = 3600, claims = {}) {
  const now = Math.floor(Date.now() / 1000);
  const head = base64url(JSON.stringify({ alg: 'HS256', typ: 'JWT' }));
  const body = base64url(JSON.stringify({ sub: user, iat: now, exp: now + seconds, ...claims }));
  return `${head}.${body}.${createHmac('sha256', SECRET).update(`${head}.${body}`).digest('base64url')}`;
}

// Waits until `fits()` is true; `what` says what was missed.
export async function until(fits, what, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = fits();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    // Pauses: between looks, within a bound.
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

const freePort = () => new Promise(resolve => {
  const probe = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});

const isReady = port => fetch(`http://127.0.0.1:${port}/readyz`).then(answer => answer.ok, () => false);

export class Server {
  static async start() {
    const server = new Server();
    server.folder = mkdtempSync(join(tmpdir(), 'kervan-sdk-'));
    writeFileSync(join(server.folder, 'kervan.toml'), CONFIG);
    server.port = await freePort();
    await server.restart();
    return server;
  }

  get url() {
    return `ws://127.0.0.1:${this.port}/connection/websocket`;
  }

  log() {
    return readFileSync(join(this.folder, 'log'), 'utf8').split('\n').slice(-20).join('\n');
  }

  async restart() {
    const log = openSync(join(this.folder, 'log'), 'a');
    this.child = spawn(binary, ['serve', '--config', join(this.folder, 'kervan.toml'),
      '--data-dir', join(this.folder, 'data'), '--port', String(this.port)], { env, stdio: ['ignore', log, log] });
    this.child.on('error', error => { this.failed = error; });
    const end = Date.now() + START_MS;
    while (!(await isReady(this.port))) {
      if (this.failed || this.child.exitCode !== null || Date.now() > end) {
        throw new Error(`${binary} is not ready (${this.failed ?? this.child.exitCode}): ${this.log()}`);
      }
      // Pauses: between looks, within a bound.
      await new Promise(resolve => setTimeout(resolve, 20));
    }
  }

  // Ends the child with the signal and waits for its end.
  async end(signal) {
    const child = this.child;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = new Promise(resolve => child.once('exit', code => resolve(code)));
    child.kill(signal);
    return ended;
  }

  async stop() {
    await this.end('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  // A token made by the command line.
  cliToken(user) {
    const args = ['token', '--user', user, '--config', join(this.folder, 'kervan.toml')];
    return execFileSync(binary, args, { env, encoding: 'utf8' }).trim();
  }
}

// A TCP relay to the server's port: `cut` breaks what runs through it and lets nobody in until `mend`.
export class Relay {
  static async start(port) {
    const relay = new Relay();
    relay.sockets = new Set();
    relay.server = net.createServer(client => {
      if (relay.broken) return client.destroy();
      const upstream = net.connect(port, '127.0.0.1');
      for (const [from, to] of [[client, upstream], [upstream, client]]) {
        relay.sockets.add(from);
        from.on('error', () => {}).on('close', () => { relay.sockets.delete(from); to.destroy(); });
        from.pipe(to);
      }
    });
    await new Promise(resolve => relay.server.listen(0, '127.0.0.1', resolve));
    relay.url = `ws://127.0.0.1:${relay.server.address().port}/connection/websocket`;
    return relay;
  }

  cut() {
    this.broken = true;
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  mend() {
    this.broken = false;
  }

  stop() {
    this.cut();
    this.server.close();
  }
}
