// Rooms, users and their sessions, as the store and the gateway know them. Never what was said.

import { useState } from 'preact/hooks';
import { type Page, encoded, useAsked } from './api';
import { type Act, Confirm, Empty, Facts, Pager, clock, count, span } from './parts';

interface RoomRow { id: string; kind: string; status: string; title: string; channel: string; creator: string | null; head: number; messages: number; partition: number; resident: boolean; last_message_at: number | null }
interface UserRow { id: string; sessions: number; banned: boolean; partition: number; resident: boolean; created_at: number }
interface SessionRow { client: string; user: string; format: string; age_ms: number; commands: number; outbox_items: number; outbox_bytes: number }

export function Rooms({ follow }: { follow: (room: string) => void }) {
  const [back, setBack] = useState<string[]>([]);
  const [id, setId] = useState('');
  const after = back.at(-1);
  const asked = useAsked<Page<RoomRow>>(`rooms?limit=50${after ? `&after=${encodeURIComponent(after)}` : ''}`, 2_000);
  const one = useAsked<Record<string, unknown>>(/^[0-9a-f-]{36}$/.test(id) ? `rooms/${id}` : undefined, 2_000);
  return (
    <div class={`split ${one.value ? 'with-detail' : ''}`}>
      <section aria-label="Rooms">
        <form class="bar" onSubmit={event => event.preventDefault()}>
          <input type="search" placeholder="A room’s id" aria-label="Room’s id" value={id} onInput={event => setId(event.currentTarget.value.trim())} />
        </form>
        {asked.error && <p class="error" role="alert">{asked.error}</p>}
        {asked.value?.items.length === 0 && <Empty>There is no room yet.</Empty>}
        <table>
          <thead><tr><th>room</th><th>kind</th><th>status</th><th class="num">head</th><th class="num">messages</th><th class="num">partition</th><th>in memory</th><th>last message</th></tr></thead>
          <tbody>{asked.value?.items.map(room => (
            <tr key={room.id}><td><button class="link" onClick={() => setId(room.id)}>{room.title || room.channel || room.id}</button></td><td>{room.kind}</td><td>{room.status}</td>
              <td class="num">{count(room.head)}</td><td class="num">{count(room.messages)}</td><td class="num">{room.partition}</td><td>{room.resident ? 'yes' : ''}</td><td>{room.last_message_at ? clock(room.last_message_at) : ''}</td></tr>
          ))}</tbody>
        </table>
        <Pager next={asked.value?.next} back={back} go={setBack} />
      </section>
      {one.value && (
        <aside aria-label="Room"><header><h2>{String(one.value['title'] || id)}</h2><button class="icon" aria-label="Close the detail" onClick={() => setId('')}>✕</button></header>
          <Facts of={Object.fromEntries(Object.entries(one.value).filter(([key]) => key !== 'members'))} />
          <footer><button onClick={() => follow(id)}>Follow its messages</button></footer></aside>
      )}
    </div>
  );
}

export function Users() {
  const [back, setBack] = useState<string[]>([]);
  const [id, setId] = useState('');
  const [act, setAct] = useState<Act>();
  const after = back.at(-1);
  const asked = useAsked<Page<UserRow>>(`users?limit=50${after ? `&after=${encodeURIComponent(after)}` : ''}`, 2_000);
  const sessions = useAsked<Page<SessionRow>>(`sessions?limit=50${id ? `&user=${encodeURIComponent(id)}` : ''}`);
  const path = `users/${encoded(id)}`;
  const known = asked.value?.items.find(user => user.id === id);
  const ask = (title: string, text: string, to: string, body?: object) =>
    setAct({ title, text, path: to, body, done: () => { asked.again(); sessions.again(); } });
  return (
    <div class="split with-detail even">
      <section aria-label="Users">
        <form class="bar" onSubmit={event => event.preventDefault()}>
          <input type="search" placeholder="A user’s id" aria-label="User’s id" value={id} onInput={event => setId(event.currentTarget.value.trim())} />
          {id && <>
            <button type="button" onClick={() => ask('Disconnect', `All connections of ${id} are closed; clients come back by themselves.`, `${path}/disconnect`)}>Disconnect…</button>
            {known?.banned
              ? <button type="button" onClick={() => ask('Unban', `Tokens of ${id} are good again.`, `${path}/unban`)}>Unban…</button>
              : <button type="button" onClick={() => ask('Ban', `All tokens of ${id} are refused from now on, and its connections closed.`, `${path}/ban`)}>Ban…</button>}
          </>}
        </form>
        {asked.error && <p class="error" role="alert">{asked.error}</p>}
        <table>
          <thead><tr><th>user</th><th class="num">sessions</th><th class="num">partition</th><th>in memory</th><th>banned</th></tr></thead>
          <tbody>{asked.value?.items.map(user => (
            <tr key={user.id} class={user.id === id ? 'chosen' : ''}><td><button class="link" onClick={() => setId(user.id)}>{user.id}</button></td><td class="num">{user.sessions}</td>
              <td class="num">{user.partition}</td><td>{user.resident ? 'yes' : ''}</td><td class={user.banned ? 'bad' : ''}>{user.banned ? 'banned' : ''}</td></tr>
          ))}</tbody>
        </table>
        <Pager next={asked.value?.next} back={back} go={setBack} />
      </section>
      <section aria-label="Sessions">
        <h2>Sessions{id && ` of ${id}`}</h2>
        {sessions.error && <p class="error" role="alert">{sessions.error}</p>}
        {sessions.value?.items.length === 0 && <Empty>Nobody is connected.</Empty>}
        <table>
          <thead><tr><th>user</th><th>format</th><th class="num">age</th><th class="num">commands</th><th class="num">waits</th><th><span class="quiet">act</span></th></tr></thead>
          <tbody>{sessions.value?.items.map(session => (
            <tr key={session.client} title={session.client}><td>{session.user}</td><td>{session.format}</td><td class="num">{span(session.age_ms)}</td><td class="num">{count(session.commands)}</td>
              <td class="num">{count(session.outbox_bytes)} B</td>
              <td><button class="link" aria-label={`Disconnect a session of ${session.user}`}
                onClick={() => ask('Disconnect', `The session ${session.client} of ${session.user} is closed; the client comes back by itself.`, `sessions/${session.client}/disconnect`)}>disconnect…</button></td></tr>
          ))}</tbody>
        </table>
      </section>
      {act && <Confirm act={act} close={() => setAct(undefined)} />}
    </div>
  );
}
