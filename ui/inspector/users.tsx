// Users and their sessions, as the store and the gateway know them, and what an operator may do to them.

import { useEffect, useState } from 'preact/hooks';
import { type Page, encoded, useAsked } from './api';
import { type Act, Confirm, Empty, Facts, Pager, Sorter, bytes, count, span } from './parts';
import { go } from './place';
import { sorted } from './sort';

interface UserRow { id: string; name?: string; sessions: number; banned: boolean; partition: number; resident: boolean; created_at: number }
interface SessionRow { client: string; user: string; format: string; age_ms: number; commands: number; outbox_items: number; outbox_bytes: number }
type Detail = UserRow & { username: string | null; room_count: number; rooms: { room: string }[]; devices: { device: string; platform: string }[]; blocks: number };

const COLUMNS = { sessions: (user: UserRow) => user.sessions, partition: (user: UserRow) => user.partition };

export function Users({ chosen }: { chosen: string }) {
  const [back, setBack] = useState<string[]>([]);
  const [text, setText] = useState('');
  const [sort, setSort] = useState('path');
  const [act, setAct] = useState<Act>();
  useEffect(() => setBack([]), [text]);
  const after = back.at(-1);
  const asked = useAsked<Page<UserRow>>(
    `users?limit=100${text ? `&text=${encodeURIComponent(text)}` : ''}${after ? `&after=${encodeURIComponent(after)}` : ''}`, 2_000);
  const sessions = useAsked<Page<SessionRow>>(`sessions?limit=50${chosen ? `&user=${encodeURIComponent(chosen)}` : ''}`);
  const ask = (title: string, text: string, path: string) =>
    setAct({ title, text, path, done: () => { asked.again(); sessions.again(); } });
  const head = { sort, set: setSort };
  return (
    <div class="split with-detail even">
      <section aria-label="Users">
        <form class="bar" onSubmit={event => event.preventDefault()}>
          <input type="search" placeholder="Part of a name or id" aria-label="Find users" value={text} onInput={event => setText(event.currentTarget.value.trim())} />
        </form>
        {asked.error && <p class="error" role="alert">{asked.error}</p>}
        {asked.value?.items.length === 0 && <Empty>{asked.value.next ? 'None among these; go on.' : 'No user found.'}</Empty>}
        <table>
          <thead><tr><Sorter by="path" {...head}>user</Sorter><Sorter by="sessions" num {...head}>sessions</Sorter><Sorter by="partition" num {...head}>partition</Sorter><th>in memory</th><th>banned</th></tr></thead>
          <tbody>{sorted(asked.value?.items ?? [], COLUMNS, sort).map(user => (
            <tr key={user.id} class={user.id === chosen ? 'chosen' : ''}><td><button class="link" onClick={() => go('users', user.id)}>{user.name ? <>{user.name} <small>{user.id}</small></> : user.id}</button></td><td class="num">{user.sessions}</td>
              <td class="num">{user.partition}</td><td>{user.resident ? 'yes' : ''}</td><td class={user.banned ? 'bad' : ''}>{user.banned ? 'banned' : ''}</td></tr>
          ))}</tbody>
        </table>
        <Pager next={asked.value?.next} back={back} go={setBack} />
      </section>
      <div>
        {chosen && <User id={chosen} ask={ask} />}
        <section aria-label="Sessions">
          <h2>Sessions{chosen && ` of ${chosen}`}</h2>
          {sessions.error && <p class="error" role="alert">{sessions.error}</p>}
          {sessions.value?.items.length === 0 && <Empty>{chosen ? `${chosen} is not connected.` : 'Nobody is connected.'}</Empty>}
          <table>
            <thead><tr><th>user</th><th>format</th><th class="num">age</th><th class="num">commands</th><th class="num">queue</th><th><span class="quiet">act</span></th></tr></thead>
            <tbody>{sessions.value?.items.map(session => (
              <tr key={session.client} title={session.client}><td>{session.user}</td><td>{session.format}</td><td class="num">{span(session.age_ms)}</td><td class="num">{count(session.commands)}</td>
                <td class="num">{bytes(session.outbox_bytes)}</td>
                <td><button class="link" aria-label={`Disconnect a session of ${session.user}`}
                  onClick={() => ask('Disconnect', `The session ${session.client} of ${session.user} is closed; the client comes back by itself.`, `sessions/${session.client}/disconnect`)}>disconnect…</button></td></tr>
            ))}</tbody>
          </table>
        </section>
      </div>
      {act && <Confirm act={act} close={() => setAct(undefined)} />}
    </div>
  );
}

// Only somebody who is known is acted on: a slip of the pen in the search bans nobody.
function User({ id, ask }: { id: string; ask: (title: string, text: string, path: string) => void }) {
  const asked = useAsked<Detail>(`users/${encoded(id)}`, 2_000);
  const user = asked.value;
  const path = `users/${encoded(id)}`;
  if (!user) return <p class={asked.error ? 'error' : 'quiet'} role="status">{asked.error ?? 'Asking…'}</p>;
  return (
    <section aria-label={`User ${id}`} class="card">
      <header><h2>{user.username ? `${user.username} ` : ''}<small>{id}</small></h2><button class="icon" aria-label="Close the detail" onClick={() => go('users')}>✕</button></header>
      <Facts of={{ rooms: user.room_count, sessions: user.sessions, devices: user.devices.map(one => `${one.device} (${one.platform})`).join(', '), blocks: user.blocks,
        banned: user.banned, partition: user.partition, 'in memory': user.resident, created_at: user.created_at }} />
      <footer>
        <button onClick={() => ask('Disconnect', `All connections of ${id} are closed; clients come back by themselves.`, `${path}/disconnect`)}>Disconnect…</button>
        {user.banned
          ? <button onClick={() => ask('Unban', `Tokens of ${id} are good again.`, `${path}/unban`)}>Unban…</button>
          : <button onClick={() => ask('Ban', `All tokens of ${id} are refused from now on, and its connections closed.`, `${path}/ban`)}>Ban…</button>}
      </footer>
    </section>
  );
}
