// Where one is on the page, as its address says: a view, and what is chosen in it. Back, Forward and links work.

import { signal } from '@preact/signals';

export const VIEWS = { actors: 'Actors', partitions: 'Partitions', traces: 'Traces', rooms: 'Rooms', users: 'Users', log: 'Log' } as const;
export type View = keyof typeof VIEWS;

function read(): { view: View; what: string } {
  const [name, ...rest] = location.hash.slice(1).split('/');
  const what = rest.map(part => { try { return decodeURIComponent(part); } catch { return part; } }).join('/');
  return name && name in VIEWS ? { view: name as View, what } : { view: 'actors', what: '' };
}

export const place = signal(read());
addEventListener('hashchange', () => { place.value = read(); });

export function go(view: View, what = '') {
  location.hash = what ? `${view}/${what.split('/').map(encodeURIComponent).join('/')}` : view;
}
