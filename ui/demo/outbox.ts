// Messages that the server has not answered yet, kept through reloads. Each has a client id, so sending it again is
// harmless: an answer that was lost with the connection is given again.

export interface Waiting {
  room: string; client_id: string; body: string; at: number; failed?: string; type?: string; metadata?: unknown;
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

export class Outbox {
  constructor(private readonly user: string) {}

  private get key() { return `kervan.outbox.${this.user}`; }

  all(): Waiting[] {
    return JSON.parse(localStorage.getItem(this.key) ?? '[]');
  }

  private write(all: Waiting[]) {
    localStorage.setItem(this.key, JSON.stringify(all));
  }

  add(room: string, body: string, more: Pick<Waiting, 'type' | 'metadata'> = {}): Waiting {
    const waiting = { ...more, room, body, client_id: uuidv7(), at: Date.now() };
    this.write([...this.all(), waiting]);
    return waiting;
  }

  remove(client_id: string) {
    this.write(this.all().filter(waiting => waiting.client_id !== client_id));
  }

  fail(client_id: string, why: string | undefined) {
    this.write(this.all().map(waiting => waiting.client_id === client_id ? { ...waiting, failed: why } : waiting));
  }
}
