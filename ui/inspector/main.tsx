// The operator's page: what the node does now.

import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Actors } from './actors';
import { type Overview, type Page, type Warning, locked, unlock, useAsked } from './api';
import { Log } from './log';
import { Partitions } from './partitions';
import { Spark, count, span } from './parts';
import { Rooms, Users } from './people';
import { Ways } from './ways';

const VIEWS = { actors: 'Actors', partitions: 'Partitions', ways: 'Ways', rooms: 'Rooms', users: 'Users', log: 'Log' } as const;
type View = keyof typeof VIEWS;
const named = (): View => { const name = location.hash.slice(1) as View; return name in VIEWS ? name : 'actors'; };

function Inspector() {
  const [view, setView] = useState<View>(named());
  const [room, setRoom] = useState('');
  const overview = useAsked<Overview>('overview');
  const warnings = useAsked<Page<Warning>>('warnings', 2_000);
  useEffect(() => {
    const change = () => setView(named());
    addEventListener('hashchange', change);
    return () => removeEventListener('hashchange', change);
  }, []);
  const follow = (room: string) => { setRoom(room); location.hash = 'ways'; };
  const found = warnings.value?.items ?? [];
  if (locked.value !== undefined) return <Lock why={locked.value} />;
  return (
    <div class="page">
      <header class="top">
        <h1>Kervan</h1>
        <nav aria-label="Views">{Object.entries(VIEWS).map(([key, words]) => (
          <a key={key} href={`#${key}`} aria-current={view === key ? 'page' : undefined}>{words}{key === 'log' && found.length > 0 && <span class="badge">{found.length}</span>}</a>
        ))}</nav>
        <Health overview={overview.value} error={overview.error} />
      </header>
      <Numbers overview={overview.value} />
      <main>
        {view === 'actors' && <Actors follow={follow} />}
        {view === 'partitions' && <Partitions />}
        {view === 'ways' && <Ways room={room} setRoom={setRoom} />}
        {view === 'rooms' && <Rooms follow={follow} />}
        {view === 'users' && <Users />}
        {view === 'log' && <Log warnings={found} />}
      </main>
    </div>
  );
}

function Health({ overview, error }: { overview?: Overview; error?: string }) {
  if (!overview || error) return <p class="health bad" role="status">{error ?? 'Asking…'}</p>;
  const down = Object.entries(overview.checks).filter(([, why]) => why);
  return (
    <p class={`health ${overview.status === 'ok' ? 'good' : 'bad'}`} role="status">
      {overview.status}{down.map(([name, why]) => `, ${name}: ${why}`)} <span class="quiet">{overview.version}, up {span(overview.uptime_ms)}</span>
    </p>
  );
}

// The numbers of the node, with what they were in the last minute.
function Numbers({ overview }: { overview?: Overview }) {
  const past = useRef<{ at: number; accepted: number; deliveries: number; rates: Record<string, number[]> }>(undefined);
  const now = useRef<Record<string, number>>({});
  if (overview && overview.now !== past.current?.at) {
    const before = past.current;
    const seconds = before ? Math.max(.2, (overview.now - before.at) / 1_000) : 1;
    now.current = {
      clients: overview.clients, rooms: overview.resident_rooms, users: overview.resident_users,
      'messages a second': before ? (overview.messages_accepted - before.accepted) / seconds : 0,
      'deliveries a second': before ? (overview.deliveries - before.deliveries) / seconds : 0,
      'waiting messages': overview.mailbox_depth ?? 0, lag: overview.lag_records ?? 0, restarts: overview.actor_restarts,
    };
    const rates = Object.fromEntries(Object.entries(now.current).map(([key, value]) => [key, [...before?.rates[key] ?? [], value].slice(-30)]));
    past.current = { at: overview.now, accepted: overview.messages_accepted, deliveries: overview.deliveries, rates };
  }
  return (
    <dl class="numbers">
      {Object.entries(now.current).map(([key, value]) => (
        <div key={key}><dt>{key}</dt><dd>{count(Math.round(value * 10) / 10)}<Spark values={past.current?.rates[key] ?? []} /></dd></div>
      ))}
    </dl>
  );
}

function Lock({ why }: { why: string }) {
  const [token, setToken] = useState('');
  return (
    <main class="lock">
      <form onSubmit={event => { event.preventDefault(); if (token) unlock(token); }}>
        <h1>Kervan</h1>
        <p>This page takes the operator’s token: <code>[admin] token</code>, or the key in the data folder’s file <code>ADMIN</code>. It is kept until this tab is closed.</p>
        <label>Token <input type="password" autocomplete="off" value={token} onInput={event => setToken(event.currentTarget.value)} autofocus /></label>
        <p class="error" role="alert">{why}</p>
        <button class="primary">Look</button>
      </form>
    </main>
  );
}

render(<Inspector />, document.getElementById('root')!);
