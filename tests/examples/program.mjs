// An example as a child: lines in, lines out, ended when the test ends.

import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const examples = join(dirname(fileURLToPath(import.meta.url)), '../../examples');

export class Program {
  // `context` is the test's: the child ends with it.
  constructor(context, command, args, env) {
    this.lines = [];
    this.waiting = [];
    this.errors = '';
    this.child = spawn(command, args, { cwd: examples, env: { PATH: process.env.PATH, ...env } });
    this.ended = new Promise(resolve => this.child.once('exit', resolve));
    context.after(() => this.child.kill('SIGKILL'));
    let rest = '';
    this.child.stdout.setEncoding('utf8').on('data', text => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      this.lines.push(...lines);
      this.waiting = this.waiting.filter(look => !look());
    });
    this.child.stderr.setEncoding('utf8').on('data', text => { this.errors += text; });
  }

  type(line) {
    this.child.stdin.write(`${line}\n`);
  }

  // Waits for a line that `fits`.
  line(fits, what, ms = 20_000) {
    return new Promise((resolve, reject) => {
      const said = () => `${what}\nstdout: ${this.lines.join('\n')}\nstderr: ${this.errors}`;
      // Pauses: the bound of a wait for an event.
      const late = setTimeout(() => reject(new Error(`not within ${ms} ms: ${said()}`)), ms);
      const look = () => {
        const found = this.lines.find(fits);
        if (found === undefined) return false;
        clearTimeout(late);
        resolve(found);
        return true;
      };
      if (!look()) this.waiting.push(look);
    });
  }
}
