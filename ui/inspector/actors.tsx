// The tree of actors. A family is a page at a time, however large it is; what is open is asked for each second.

import { useEffect, useRef, useState } from 'preact/hooks';
import { type Actor, type Page, encoded, useAsked } from './api';
import { type Act, Confirm, Empty, Facts, Pager, Sorter, Spark, count, span } from './parts';
import { go } from './place';

// Rows of one family in the page at most.
const ROWS = 50;
const POINTS = 30;

type Rates = Map<string, number[]>;
// Over the last ten looks: what one sees does not flicker.
const average = (rates: number[] = []) => rates.slice(-10).reduce((sum, rate) => sum + rate, 0) / Math.max(1, Math.min(10, rates.length));
const leaf = (path: string) => path.slice(path.lastIndexOf('/') + 1);

export function Actors({ chosen, follow }: { chosen: string; follow: (room: string) => void }) {
  const [text, setText] = useState('');
  const [kind, setKind] = useState('');
  const [sort, setSort] = useState('path');
  const [open, setOpen] = useState(new Set(['node']));
  // While the pointer is over the rows they keep their places: a click lands on what it was meant for.
  const [held, setHeld] = useState(false);
  // The last rates of what is in the page: the rest is forgotten.
  const rates = useRef<Rates>(new Map());
  useEffect(() => {
    const timer = setInterval(() => {
      const seen = new Set([...document.querySelectorAll<HTMLElement>('[data-path]')].map(row => row.dataset['path']!));
      for (const path of rates.current.keys()) if (!seen.has(path)) rates.current.delete(path);
    }, 5_000);
    return () => clearInterval(timer);
  }, []);
  const toggle = (path: string) => {
    const next = new Set(open);
    if (!next.delete(path)) next.add(path);
    setOpen(next);
  };
  const choose = (path: string) => go('actors', path);
  const shared = { sort, open, toggle, chosen, choose, held, rates: rates.current };
  return (
    <div class={`split ${chosen ? 'with-detail' : ''}`}>
      <section aria-label="Actors">
        <form class="bar" onSubmit={event => event.preventDefault()}>
          <input type="search" placeholder="Find by path: room:… user:… partitions/17" aria-label="Find actors" value={text}
            onInput={event => setText(event.currentTarget.value.trim())} />
          <select aria-label="Kind" value={kind} onChange={event => setKind(event.currentTarget.value)}>
            <option value="">all kinds</option>
            {['partition', 'room', 'user', 'worker', 'session'].map(kind => <option key={kind}>{kind}</option>)}
          </select>
          <select aria-label="Sort by" value={sort} onChange={event => setSort(event.currentTarget.value)}>
            {['path', 'rate', 'depth', 'handled', 'age', 'restarts', 'children'].map(sort => <option key={sort} value={sort}>by {sort}</option>)}
          </select>
          {held && sort !== 'path' && <span class="quiet" role="status">order kept while you point</span>}
        </form>
        <table class="actors" onPointerEnter={() => setHeld(true)} onPointerLeave={() => setHeld(false)}>
          <thead><tr>
            <Sorter by="path" sort={sort} set={setSort}>actor</Sorter><th>state</th><Sorter by="depth" sort={sort} set={setSort} num>queue</Sorter>
            <Sorter by="handled" sort={sort} set={setSort} num>handled</Sorter><Sorter by="rate" sort={sort} set={setSort} num>rate/s</Sorter>
            <th><span class="quiet">trend</span></th><Sorter by="age" sort={sort} set={setSort} num>age</Sorter>
          </tr></thead>
          {text || kind
            ? <Family {...shared} query={`text=${encodeURIComponent(text)}${kind ? `&kind=${kind}` : ''}`} level={0} flat />
            : <Family {...shared} query="parent=node" level={0} />}
        </table>
      </section>
      {chosen && <Detail path={chosen} close={() => go('actors')} follow={follow} />}
    </div>
  );
}

interface Shared {
  sort: string; open: Set<string>; toggle: (path: string) => void; chosen: string; held: boolean; choose: (path: string) => void; rates: Rates;
}

function Family({ query, level, flat, ...shared }: Shared & { query: string; level: number; flat?: boolean }) {
  const [back, setBack] = useState<string[]>([]);
  useEffect(() => setBack([]), [query, shared.sort]);
  const after = back.at(-1);
  const page = useAsked<Page<Actor>>(
    `actors?${query}&sort=${shared.sort}&limit=${ROWS}${after ? `&after=${encodeURIComponent(after)}` : ''}`);
  const order = useRef<string[]>([]);
  const came = page.value?.items ?? [];
  const known = new Map(came.map(actor => [actor.path, actor]));
  const items = shared.held
    ? [...order.current.flatMap(path => known.get(path) ?? []), ...came.filter(actor => !order.current.includes(actor.path))] : came;
  order.current = items.map(actor => actor.path);
  useEffect(() => {
    for (const actor of came) {
      const before = shared.rates.get(actor.path) ?? [];
      shared.rates.set(actor.path, [...before, (actor.below?.rate ?? 0) + (actor.rate ?? 0)].slice(-POINTS));
    }
  }, [page.value]);
  return (
    <>
      {items.map(actor => <Row key={actor.path} actor={actor} level={level} flat={flat} {...shared} />)}
      <tbody>
        {page.error && <tr><td colSpan={7} class="error">{page.error}</td></tr>}
        {page.value && items.length === 0 && <tr><td colSpan={7}><Empty>{flat ? 'No actor found.' : 'Nothing is below it now.'}</Empty></td></tr>}
        {(page.value?.next || back.length > 0) && (
          <tr><td colSpan={7} class={`level-${level}`}><span class="quiet">{count(page.value?.total)} in all, {ROWS} at a time</span><Pager next={page.value?.next} back={back} go={setBack} /></td></tr>
        )}
      </tbody>
    </>
  );
}

function Row({ actor, level, flat, ...shared }: Shared & { actor: Actor; level: number; flat?: boolean }) {
  const opens = !flat && actor.children > 0;
  const open = opens && shared.open.has(actor.path);
  const waits = actor.depth + (actor.below?.depth ?? 0);
  return (
    <>
      <tbody>
        <tr data-path={actor.path} class={shared.chosen === actor.path ? 'chosen' : ''}>
          <td class={`level-${level}`}>
            {opens
              ? <button class="twist" aria-expanded={open} aria-label={`${open ? 'Close' : 'Open'} ${actor.path}`} onClick={() => shared.toggle(actor.path)}>{open ? '▾' : '▸'}</button>
              : <span class="twist" />}
            <button class="link" onClick={() => shared.choose(actor.path)}>{actor.name ? <>{actor.name} <small>{leaf(actor.path)}</small></> : flat ? actor.path : leaf(actor.path)}</button>
            {actor.children > 0 && <small> {count(actor.children)}</small>}
          </td>
          <td><span class={`state ${actor.state}`}>{actor.state}</span></td>
          <td class={`num ${waits >= 1_000 ? 'bad' : ''}`}>{count(waits)}</td>
          <td class="num">{count(actor.handled)}</td>
          <td class="num">{actor.rate === null && !actor.below ? '–' : count(average(shared.rates.get(actor.path)))}</td>
          <td><Spark values={shared.rates.get(actor.path) ?? []} /></td>
          <td class="num">{span(actor.age_ms)}</td>
        </tr>
      </tbody>
      {open && <Family {...shared} query={`parent=${encodeURIComponent(actor.path)}`} level={Math.min(level + 1, 4)} />}
    </>
  );
}

const ACTS: Record<string, string> = {
  restart: 'It begins anew from what is stored, as after a death: nothing is lost, what is under way is finished or done again.',
  passivate: 'It leaves memory, if it has nothing to do, and comes back when it is needed.',
  stop: 'It ends. A client comes back by itself; a room or user when it is needed.',
};

function Detail({ path, close, follow }: { path: string; close: () => void; follow: (room: string) => void }) {
  const asked = useAsked<{ actor: Actor; summary: Record<string, unknown> | null }>(`actors/${encoded(path)}`);
  const [act, setAct] = useState<Act>();
  const room = /room:([0-9a-f-]{36})$/.exec(path)?.[1];
  const { actor, summary } = asked.value ?? {};
  return (
    <aside aria-label={`Actor ${path}`}>
      <header><h2>{actor?.name ?? leaf(path)}</h2><button class="icon" aria-label="Close the detail" onClick={close}>✕</button></header>
      <p class="path">{path}</p>
      {asked.error && !actor && <p class="error" role="alert">{asked.error}</p>}
      {actor && (
        <>
          <Facts of={{ kind: actor.kind, state: actor.state, queue: actor.depth, handled: actor.handled, 'rate/s': actor.rate?.toFixed(1),
            quiet_ms: actor.quiet_ms, age_ms: actor.age_ms, restarts: actor.restarts, children: actor.children }} />
          <h3>What it says of itself</h3>
          {summary ? <Facts of={summary} /> : <Empty>Nothing now.</Empty>}
          <footer>
            {room && <><button onClick={() => go('rooms', room)}>Open the room</button><button onClick={() => follow(room)}>Follow its messages</button></>}
            {actor.acts.map(name => (
              <button key={name} onClick={() => setAct({ title: `${name[0]!.toUpperCase()}${name.slice(1)}`, text: `${path}: ${ACTS[name]}`,
                path: `actors/${encoded(path)}/${name}`, done: asked.again })}>{name}…</button>
            ))}
          </footer>
        </>
      )}
      {act && <Confirm act={act} close={() => setAct(undefined)} />}
    </aside>
  );
}
