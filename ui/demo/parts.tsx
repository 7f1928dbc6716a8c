// Small things that many views show.

import { useState } from 'preact/hooks';

const HUES = 12;

// The same colour for the same person everywhere.
export function hue(id: string): number {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.codePointAt(0)!) >>> 0;
  return sum % HUES;
}

export function Avatar({ id, label, online }: { id: string; label: string; online?: boolean }) {
  const words = label.trim().split(/\s+/);
  const letters = ((words[0]?.[0] ?? '?') + (words.length > 1 ? words.at(-1)![0] : '')).toUpperCase();
  return (
    <span class={`avatar hue-${hue(id)}`} aria-hidden="true">
      {letters}{online && <i class="dot" />}
    </span>
  );
}

const THEME = 'kervan.theme';
const stored = localStorage.getItem(THEME);
if (stored) document.documentElement.dataset['theme'] = stored;

export function Theme() {
  const dark = () => (document.documentElement.dataset['theme'] ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  const [isDark, setDark] = useState(dark());
  const flip = () => {
    const next = isDark ? 'light' : 'dark';
    document.documentElement.dataset['theme'] = next;
    localStorage.setItem(THEME, next);
    setDark(!isDark);
  };
  return (
    <button class="icon" onClick={flip} aria-label={isDark ? 'Light colours' : 'Dark colours'} title={isDark ? 'Light colours' : 'Dark colours'}>
      {isDark ? <Sun /> : <Moon />}
    </button>
  );
}

const svg = { width: 20, height: 20, viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor', 'stroke-width': 2,
  'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': true } as const;
export const Moon = () => <svg {...svg}><path d="M20 14.5A8 8 0 1 1 9.500 4 6.500 6.500 0 0 0 20 14.500Z" /></svg>;
export const Sun = () => <svg {...svg}><circle cx="12" cy="12" r="4" /><path d="M12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.400 1.400m11.200 11.200L19 19M19 5l-1.400 1.400M6.400 17.600 5 19" /></svg>;
export const Plus = () => <svg {...svg}><path d="M12 5v14M5 12h14" /></svg>;
export const Exit = () => <svg {...svg}><path d="M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4M4 12h11m-4-4 4 4-4 4" /></svg>;
export const Back = () => <svg {...svg}><path d="m15 5-7 7 7 7" /></svg>;
export const Send = () => <svg {...svg}><path d="M4 12 20 4l-5 16-4-6-7-2Z" /></svg>;
export const Clip = () => <svg {...svg}><path d="m20 11-8.500 8.500a5 5 0 0 1-7-7L13 4a3.300 3.300 0 0 1 4.700 4.700l-8.500 8.500a1.700 1.700 0 0 1-2.400-2.400L14.500 7" /></svg>;
export const Pen = () => <svg {...svg}><path d="m4 20 1-4L16 5l3 3L8 19l-4 1Z" /></svg>;
export const Bell = () => <svg {...svg}><path d="M6 16V11a6 6 0 0 1 12 0v5l2 2H4l2-2Zm4 5h4" /></svg>;
export const BellOff = () => <svg {...svg}><path d="M6 16V11a6 6 0 0 1 9-5.200M18 11v5l2 2H9m1 3h4M4 4l16 16" /></svg>;
export const Bin = () => <svg {...svg}><path d="M5 7h14M10 7V4h4v3m-7 0 1 13h8l1-13" /></svg>;

export function time(at: number): string {
  return new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

// A length of time, roughly: what is left of a chat.
export function span(ms: number): string {
  const minutes = Math.ceil(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1_440)} days`;
}

export function day(at: number): string {
  const date = new Date(at);
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return date.toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
}
