// A `kervan serve` of its own as a stranger starts it: development mode, a temporary folder, free ports.

import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// How long a server may take to start. On a Kafka it makes topics first.
const START_MS = Number(process.env.TEST_START_SECONDS || 20) * 1000;
const freePort = () => new Promise(resolve => {
  const probe = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});

// One that somebody else has started, and ends.
class Running {
  constructor(url) { this.url = url; }

  async stop() {}
}

export class Server {
  static async start(settings = {}) {
    if (process.env.KERVAN_URL) return new Running(process.env.KERVAN_URL);
    const server = new Server();
    server.folder = mkdtempSync(join(tmpdir(), 'kervan-browser-'));
    server.port = await freePort();
    server.adminPort = await freePort();
    server.settings = settings;
    await server.restart();
    return server;
  }

  get url() { return `http://127.0.0.1:${this.port}/`; }

  get adminUrl() { return `http://127.0.0.1:${this.adminPort}/`; }

  async restart() {
    const log = openSync(join(this.folder, 'log'), 'a');
    // Only what is said here configures the child.
    const env = { PATH: process.env.PATH, KERVAN_SERVER__ADMIN_PORT: String(this.adminPort), KERVAN_LIMITS__MESSAGES_PER_MINUTE: '0', KERVAN_LIMITS__CHANGES_PER_MINUTE: '0', KERVAN_LIMITS__QUESTIONS_PER_MINUTE: '0', ...this.settings };
    this.child = spawn(process.env.KERVAN_BIN, ['serve', '--port', String(this.port)],
      { cwd: this.folder, env, stdio: ['ignore', log, log] });
    for (const end = Date.now() + START_MS; ;) {
      if (await fetch(`${this.url}readyz`).then(answer => answer.ok, () => false)) return;
      if (this.child.exitCode !== null || Date.now() > end) throw new Error(`not ready: ${readFileSync(join(this.folder, 'log'), 'utf8')}`);
      // Pauses: between looks, within a bound.
      await new Promise(resolve => setTimeout(resolve, 20));
    }
  }

  async kill() {
    const gone = new Promise(resolve => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await gone;
  }

  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  // A request to the REST API.
  async api(method, path, body, token) {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
    const answer = await fetch(new URL(path, this.url), { method, headers, body: body && JSON.stringify(body) });
    const json = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(json)}`);
    return json;
  }

  async token(user) {
    return (await this.api('POST', '/api/auth/development', { user })).access_token;
  }
}
