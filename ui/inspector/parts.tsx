// Small things that many views show.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask } from './api';

export function count(number: number | undefined | null): string {
  if (number === undefined || number === null) return '–';
  if (Math.abs(number) >= 10_000_000) return `${(number / 1e6).toFixed(1)} M`;
  if (Math.abs(number) >= 10_000) return `${(number / 1e3).toFixed(1)} k`;
  return Number.isInteger(number) ? String(number) : number.toFixed(1);
}

export function span(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  const s = Math.floor(ms / 1_000);
  if (s < 120) return `${s} s`;
  if (s < 7_200) return `${Math.floor(s / 60)} min`;
  return s < 172_800 ? `${Math.floor(s / 3_600)} h` : `${Math.floor(s / 86_400)} d`;
}

export const bytes = (number: number) => number < 1_000 ? `${number} B` : `${count(Math.round(number / 100) / 10)} KB`;

export const moment = (at: number) => new Date(at).toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' });

export const clock = (at: number) => new Date(at).toLocaleTimeString([], { hour12: false });

// The last values of something, drawn small.
export function Spark({ values }: { values: number[] }) {
  // Of small numbers a change of one is no alarm.
  const most = Math.max(...values, 10);
  const points = values.map((value, index) => `${index * 2},${13 - (value / most) * 12}`).join(' ');
  return <svg class="spark" width="60" height="14" viewBox="0 0 60 14" aria-hidden="true"><polyline points={points} /></svg>;
}

export interface Act { title: string; text: string; path: string; method?: string; body?: object; done?: () => void }

// Asks before anything is done, does it, and says what came of it.
export function Confirm({ act, close }: { act: Act; close: () => void }) {
  const box = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  useEffect(() => box.current?.showModal(), []);
  async function go(event: Event) {
    event.preventDefault();
    setBusy(true);
    try {
      await ask(act.path, act.method ?? 'POST', act.method === 'DELETE' ? undefined : act.body ?? {});
      act.done?.();
      close();
    } catch (failed: any) {
      setError(failed.message);
      setBusy(false);
    }
  }
  return (
    <dialog ref={box} onClose={close} aria-labelledby="act">
      <form onSubmit={go}>
        <h2 id="act">{act.title}</h2>
        <p>{act.text}</p>
        <p class="error" role="alert">{error}</p>
        <footer>
          <button type="button" onClick={close}>Cancel</button>
          <button class="danger" disabled={busy}>{act.title}</button>
        </footer>
      </form>
    </dialog>
  );
}

// A value in words: the unit stands last in its key.
function said(key: string, value: unknown): string {
  if (value === null || value === undefined || value === '') return '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'object') return Array.isArray(value) ? value.join(' to ') : JSON.stringify(value);
  if (typeof value !== 'number') return String(value);
  if (key.endsWith('_at') || key === 'since') return moment(value);
  if (key.endsWith('_ms')) return value ? span(value) : '–';
  return key.endsWith('_bytes') ? bytes(value) : String(value);
}

// A column's head that sorts by it.
export function Sorter({ by, sort, set, num, children }: { by: string; sort: string; set: (by: string) => void; num?: boolean; children: ComponentChildren }) {
  const is = by === sort;
  return (
    <th class={num ? 'num' : ''} aria-sort={is ? (by === 'path' ? 'ascending' : 'descending') : undefined}>
      <button class={`link sorter ${is ? 'is' : ''}`} onClick={() => set(by)}>{children}{is ? (by === 'path' ? ' ▴' : ' ▾') : ''}</button>
    </th>
  );
}

export function Facts({ of }: { of: Record<string, unknown> }) {
  return (
    <dl class="facts">
      {Object.entries(of).map(([key, value]) => (
        <div key={key}><dt>{key.replace(/_(at|ms|bytes)$/, '').replaceAll('_', ' ')}</dt><dd>{said(key, value)}</dd></div>
      ))}
    </dl>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

// A page of a list, and the way to the next one.
export function Pager({ next, back, go }: { next: string | null | undefined; back: string[]; go: (back: string[]) => void }) {
  if (!next && back.length === 0) return null;
  return (
    <p class="pager">
      <button disabled={back.length === 0} onClick={() => go(back.slice(0, -1))}>Back</button>
      <button disabled={!next} onClick={() => go([...back, next!])}>Next</button>
    </p>
  );
}
