// What the server has not answered yet: messages, edits and deletions, kept through reloads. A message has a client id and
// a change says what it makes of its target, so doing either again is harmless: an answer that was lost with the connection
// is given again.

import { signal } from '@preact/signals';

export interface Waiting {
  room: string; client_id: string; body: string; at: number; failed?: string; type?: string; metadata?: unknown;
  // The seq of the message that is changed; none: a new message.
  target?: number;
  deletes?: boolean;
}

// A UUIDv7: its time lets the server refuse it when it is too old to be told apart from a new message.
export function uuidv7(now = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(now / 2 ** (8 * (5 - i))) % 256;
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

// Answers that did not come in time, one after the other, after which the connection is taken for dead.
const UNANSWERED = 2;

// What carries it: the connection.
export interface Line {
  isUp(): boolean;
  call(method: string, data: object): Promise<unknown>;
  // Nothing was answered for long: hang up and dial again.
  reconnect(): void;
}

export class Outbox {
  readonly waiting = signal<Waiting[]>([]);
  private flushing = false;
  private unanswered = 0;

  constructor(private readonly user: string, private readonly line: Line) {
    this.waiting.value = this.read();
  }

  private get key() { return `kervan.outbox.${this.user}`; }

  // Other tabs of the same user write there, too.
  private read(): Waiting[] {
    return JSON.parse(localStorage.getItem(this.key) ?? '[]');
  }

  private write(all: Waiting[]) {
    localStorage.setItem(this.key, JSON.stringify(all));
    this.waiting.value = all;
  }

  add(one: Omit<Waiting, 'client_id' | 'at'>) {
    // A later change of the same message takes the place of an earlier one that waits.
    const others = this.read().filter(other => one.target === undefined || other.room !== one.room || other.target !== one.target);
    this.write([...others, { ...one, client_id: uuidv7(), at: Date.now() }]);
    void this.flush();
  }

  remove(...ids: string[]) {
    this.write(this.read().filter(waiting => !ids.includes(waiting.client_id)));
  }

  retry(id: string) {
    this.fail(id, undefined);
    void this.flush();
  }

  private fail(id: string, why: string | undefined) {
    this.write(this.read().map(waiting => waiting.client_id === id ? { ...waiting, failed: why } : waiting));
  }

  // Sends what waits, one after the other, so that it appears in the order in which it was written.
  async flush() {
    if (this.flushing) return;
    this.flushing = true;
    try {
      for (;;) {
        const next = this.read().find(waiting => !waiting.failed);
        if (!next || !this.line.isUp()) return;
        try {
          await this.line.call(...commandOf(next));
          this.unanswered = 0;
          this.remove(next.client_id);
        } catch (error: any) {
          if (error.code >= 100) this.unanswered = 0;
          if (error.code < 100 || error.temporary) {
            // Perhaps it is in, perhaps not: it is sent again.
            if (error.code === 1 && ++this.unanswered >= UNANSWERED) {
              this.unanswered = 0;
              this.line.reconnect();
              return;
            }
            const wait = Number(/(\d+) ms/.exec(error.message ?? '')?.[1] ?? 1_000);
            setTimeout(() => void this.flush(), Math.min(wait, 30_000) + 50);
            return;
          }
          this.fail(next.client_id, sentence(error.message ?? 'not sent'));
        }
      }
    } finally {
      this.flushing = false;
    }
  }
}

function commandOf({ room, client_id, body, type, metadata, target, deletes }: Waiting): [string, object] {
  if (target === undefined) return ['message.send', { room, client_id, body, type, metadata }];
  return deletes ? ['message.delete', { room, target }] : ['message.edit', { room, target, body }];
}

// What the server says, as a person would write it.
export function sentence(text: string): string {
  const full = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(full) ? full : `${full}.`;
}
