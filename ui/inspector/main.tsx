// The operator's page: what the node does now.

import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Actors } from './actors';
import { type Overview, type Page, type Warning, answered, locked, pace, unlock, useAsked } from './api';
import { Log } from './log';
import { Partitions } from './partitions';
import { Spark, clock, count, span } from './parts';
import { VIEWS, go, place } from './place';
import { Theme } from './theme';
import { Users } from './users';
import { Rooms } from './rooms';
import { Traces } from './traces';

// Longer than a look may take, and its repetition.
const SILENT_MS = 4_500;

function Inspector() {
  const { view, what } = place.value;
  const overview = useAsked<Overview>('overview');
  const warnings = useAsked<Page<Warning>>('warnings', 2_000);
  const silent = useSilence();
  const follow = (room: string) => go('traces', room);
  const found = warnings.value?.items ?? [];
  if (locked.value !== undefined) return <Lock why={locked.value} />;
  return (
    <div class={`page ${silent ? 'stale' : ''}`}>
      {silent > 0 && <p class="banner" role="alert">No answer for {Math.round(silent / 1_000)} s. What is shown is from {clock(answered.value)}.</p>}
      <header class="top">
        <h1>Kervan</h1>
        <nav aria-label="Views">{Object.entries(VIEWS).map(([key, words]) => (
          <a key={key} href={`#${key}`} aria-current={view === key ? 'page' : undefined}>{words}{key === 'log' && found.length > 0 && <span class="badge">{found.length}</span>}</a>
        ))}</nav>
        <Health overview={silent ? undefined : overview.value} error={silent ? 'no answer' : overview.error} />
        <select aria-label="Refresh" value={pace.value} onChange={event => { pace.value = Number(event.currentTarget.value); }}>
          <option value={1_000}>each second</option><option value={5_000}>each 5 s</option><option value={30_000}>each 30 s</option><option value={0}>paused</option>
        </select>
        <Theme />
      </header>
      <Numbers overview={overview.value} />
      <main>
        {view === 'actors' && <Actors chosen={what} follow={follow} />}
        {view === 'partitions' && <Partitions />}
        {view === 'traces' && <Traces room={what} />}
        {view === 'rooms' && <Rooms chosen={what} follow={follow} />}
        {view === 'users' && <Users chosen={what} />}
        {view === 'log' && <Log warnings={found} />}
      </main>
    </div>
  );
}

// For how many milliseconds the server has not answered, if that is too long: nothing asked and nothing answered is none.
function useSilence(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  const since = now - answered.value;
  const asks = pace.value > 0 && !document.hidden && locked.value === undefined;
  return asks && since > SILENT_MS + Math.max(0, pace.value - 1_000) ? since : 0;
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
      clients: overview.clients, 'rooms in memory': overview.resident_rooms, 'users in memory': overview.resident_users,
      'messages a second': before ? (overview.messages_accepted - before.accepted) / seconds : 0,
      'deliveries a second': before ? (overview.deliveries - before.deliveries) / seconds : 0,
      'waiting messages': overview.mailbox_depth ?? 0, lag: overview.lag_records ?? 0, restarts: overview.actor_restarts,
    };
    const rates = Object.fromEntries(Object.entries(now.current).map(([key, value]) => [key, [...before?.rates[key] ?? [], value].slice(-30)]));
    past.current = { at: overview.now, accepted: overview.messages_accepted, deliveries: overview.deliveries, rates };
  }
  return (
    <dl class="numbers" tabIndex={0} aria-label="Figures of the node">
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
