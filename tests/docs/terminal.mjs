// A terminal in a folder of its own, where the pages' blocks are run as they are printed. What stands in for what is not there:
// `kervan` and `cargo run --release` are the built program, and the ports and folders are this test's own.

import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './blocks.mjs';

export const binary = process.env.KERVAN_BIN;

const CARGO = `#!/bin/sh
# cargo run --release [-q] [-- ARGUMENTS]
[ "$1" = run ] || { echo "only cargo run is printed" >&2; exit 2; }
while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
[ $# -eq 0 ] || shift
exec kervan "$@"
`;
// What a shell has of its own is not carried over.
const VARIABLES = `declare -p | grep -Ev '^declare -[[:alpha:]-]*[raA]' | grep -Ev '^declare -[[:alpha:]-]+ (BASH|_=|PPID|SHLVL|PATH)'`;

export class Terminal {
  constructor() {
    this.home = mkdtempSync(join(tmpdir(), 'kervan-docs-'));
    this.folder = join(this.home, 'work');
    this.bin = join(this.home, 'bin');
    this.state = join(this.home, 'state');
    for (const folder of [this.folder, this.bin]) mkdirSync(folder);
    symlinkSync(binary, join(this.bin, 'kervan'));
    writeFileSync(join(this.bin, 'cargo'), CARGO);
    chmodSync(join(this.bin, 'cargo'), 0o755);
    writeFileSync(this.state, '');
    // What an npm install or pip install of before has fetched.
    this.python = process.env.PYTHON;
    this.env = { PATH: `${this.bin}:${process.env.PATH}`, HOME: process.env.HOME, PORT: '0', npm_config_prefer_offline: 'true',
      npm_config_audit: 'false', npm_config_fund: 'false' };
    this.servers = [];
  }

  // As it is printed, but for where the server listens and where the machine's own folders are.
  here(text) {
    let here = text.replaceAll('/usr/local/bin/kervan', binary);
    for (const folder of ['/etc/kervan', '/var/lib/kervan', '/backup/']) here = here.replaceAll(folder, join(this.home, folder));
    if (this.public) here = here.replaceAll('127.0.0.1:3000', this.public).replaceAll('127.0.0.1:3001', this.admin);
    return here;
  }

  // Runs shell lines; variables stay for the next ones, exported or not. Gives what they wrote.
  async shell(text, env = {}) {
    const script = `. ${this.state}\nset -euo pipefail\n${this.here(text)}\n${VARIABLES} > ${this.state}\n`;
    const { code, out, errors } = await this.run('bash', ['-c', script], env);
    if (code !== 0) throw new Error(`exit code ${code}\n${out}\n${errors}\n--- of\n${text}`);
    return out;
  }

  run(command, args, env = {}) {
    return new Promise((resolve, reject) => {
      const child = spawn(command, args, { cwd: this.folder, env: { ...this.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
      let [out, errors] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', data => { out += data; });
      child.stderr.setEncoding('utf8').on('data', data => { errors += data; });
      // Pauses: the bound of a wait for an event.
      const late = setTimeout(() => child.kill('SIGKILL'), 120_000);
      child.on('error', reject);
      child.on('close', code => { clearTimeout(late); resolve({ code, out, errors }); });
    });
  }

  // Runs lines of which the last one serves, in another terminal with the same variables. Gives the banner.
  async serve(text, env = {}) {
    await this.stop();
    const lines = text.replace(/#.*$/gm, '').trimEnd().split('\n');
    const last = lines.pop();
    await this.shell(lines.join('\n'), env);
    const script = `. ${this.state}\n${this.here(last)}`;
    // With a socket as its stdin, which a pipe of Node's is, bash reads .bashrc.
    const child = spawn('bash', ['-c', script],
      { cwd: this.folder, env: { ...this.env, ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    this.servers.push(child);
    const banner = await new Promise((resolve, reject) => {
      let [out, errors] = ['', ''];
      const fail = why => reject(new Error(`${why}\n${out}${errors}\n--- of\n${text}`));
      // Pauses: the bound of a wait for an event.
      const late = setTimeout(() => fail('it does not start'), 60_000);
      child.stderr.setEncoding('utf8').on('data', data => { errors += data; });
      child.on('exit', code => fail(`exit code ${code}`));
      child.stdout.setEncoding('utf8').on('data', data => {
        out += data;
        if (!/^ {2}Stop/m.test(out)) return;
        clearTimeout(late);
        resolve(out);
      });
    });
    const port = name => new RegExp(`${name}.*://[^:]+:(\\d+)`).exec(banner)[1];
    [this.public, this.admin] = [`127.0.0.1:${port('WebSocket')}`, `127.0.0.1:${port('Metrics')}`];
    this.env.PORT = port('WebSocket');
    return banner;
  }

  // Writes a block into a file, for a program that needs one.
  write(name, text) {
    const path = join(this.folder, name);
    writeFileSync(path, this.here(text));
    return path;
  }

  read(name) {
    return readFileSync(join(this.folder, name), 'utf8');
  }

  // What `npm install centrifuge ws` brings, from the examples.
  useExamplesPackages() {
    const modules = join(this.folder, 'node_modules');
    if (!existsSync(modules)) symlinkSync(join(root, 'examples/node_modules'), modules);
  }

  async stop() {
    for (const child of this.servers.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise(resolve => child.once('exit', resolve));
      // The shell and what it has started, and nobody else: it leads a group of its own.
      process.kill(-child.pid, 'SIGTERM');
      await ended;
    }
    this.env.PORT = '0';
    this.public = undefined;
  }

  async end() {
    await this.stop();
    rmSync(this.home, { recursive: true, force: true });
  }
}
