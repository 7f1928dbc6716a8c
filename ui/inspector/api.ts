// The operator's API of this very port (docs/admin.md), asked again and again while somebody looks.

import { signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';

export interface Actor {
  path: string; name?: string; kind: string; state: string; depth: number; handled: number; rate: number | null; quiet_ms: number; age_ms: number;
  restarts: number; children: number; below?: { depth: number; rate: number }; acts: string[];
}
export interface Page<T> { items: T[]; next: string | null; total?: number }
export interface Partition {
  partition: number; slots: [number, number]; owner: string; epoch: number; state: string; halted: string | null; head: number;
  verified: number; applied: number; watermark: number; lag: number; depth: number; rate: number; restarts: number; residents: number;
}
export interface Overview {
  version: string; status: string; checks: Record<string, string | null>; uptime_ms: number; connections: number; clients: number;
  resident_rooms: number; resident_users: number; messages_accepted: number; deliveries: number; lag_records?: number;
  mailbox_depth?: number; rate?: number; actor_restarts: number; now: number; production: boolean;
}
export interface Warning { code: string; severity: string; about: string; message: string; value: number }
export interface Trace {
  id: string; kind: string; room: string | null; user: string | null; partition: number; offset: number | null; seq: number | null;
  at: number; outcome: string | null; spans: { name: string; us: number }[];
}
export interface Line { seq: number; at: number; level: string; target: string; message: string; fields: Record<string, unknown> }

export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string) { super(message); }
}

const TOKEN = 'kervan.admin.token';
// For a look, and for something that is done.
const LOOK_MS = 3_000;
const ACT_MS = 30_000;
// When the server answered last, whatever it said.
export const answered = signal(Date.now());
// Milliseconds between two looks; 0: none until it is asked for.
export const pace = signal(1_000);
// Whether the server asks for a token, and why the last one was not good.
export const locked = signal<string | undefined>(undefined);

export function unlock(token: string) {
  sessionStorage.setItem(TOKEN, token);
  locked.value = undefined;
}

export async function ask<T>(path: string, method = 'GET', body?: object): Promise<T> {
  const headers: Record<string, string> = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers['authorization'] = `Bearer ${token}`;
  if (method !== 'GET') {
    headers['x-kervan-admin'] = '1';
    headers['content-type'] = 'application/json';
  }
  // A server that hangs takes connections and says nothing: that has to be seen.
  const signal = AbortSignal.timeout(method === 'GET' ? LOOK_MS : ACT_MS);
  const answer = await fetch(`/admin/${path}`, { method, headers, signal, body: body ? JSON.stringify(body) : undefined });
  answered.value = Date.now();
  if (answer.status === 204) return undefined as T;
  // One that is cut off is no answer; only an error may come without words.
  const json = await (answer.ok ? answer.json() : answer.json().catch(() => ({})));
  if (answer.ok) return json;
  const error = new ApiError(answer.status, json.error?.code ?? 'unknown', json.error?.message ?? answer.statusText);
  if (answer.status === 401) {
    sessionStorage.removeItem(TOKEN);
    locked.value = token ? error.message : '';
  }
  throw error;
}

// A path of an actor, as a path of an address.
export const encoded = (path: string) => path.split('/').map(encodeURIComponent).join('/');

export interface Asked<T> { value?: T; error?: string; again: () => void }

// What an address says now, asked every `every` milliseconds while the page is seen. Answers that come late, for an address
// that is not asked for any more, are dropped.
export function useAsked<T>(path: string | undefined, every = 1_000): Asked<T> {
  const [state, setState] = useState<{ path?: string; value?: T; error?: string }>({});
  const [turn, setTurn] = useState(0);
  const under = useRef(false);
  useEffect(() => {
    if (path === undefined) return undefined;
    let over = false;
    under.current = false;
    const look = async () => {
      if (under.current || document.hidden || locked.value !== undefined) return;
      under.current = true;
      try {
        const value = await ask<T>(path);
        if (!over) setState({ path, value });
      } catch (error: any) {
        if (!over) setState(before => ({ ...before, path, error: error.status ? error.message : 'The server does not answer.' }));
      } finally {
        under.current = false;
      }
    };
    void look();
    const timer = pace.value ? setInterval(() => void look(), Math.max(every, pace.value)) : undefined;
    return () => { over = true; clearInterval(timer); };
  }, [path, every, turn, locked.value, pace.value]);
  return { value: state.path === path ? state.value : undefined, error: state.error, again: () => setTurn(turn + 1) };
}
