// Rooms as the store knows them, with their members and what an operator may do there. Never what was said.

import { useEffect, useState } from 'preact/hooks';
import { type Page, encoded, useAsked } from './api';
import { type Act, Confirm, Empty, Facts, Pager, Sorter, bytes, clock, count, moment } from './parts';
import { go } from './place';
import { sorted } from './sort';

interface RoomRow {
  id: string; kind: string; status: string; title: string; channel: string; creator: string | null; head: number; messages: number;
  partition: number; resident: boolean; last_message_at: number | null;
}
interface Member { user: string; state: string; since_seq: number; online: boolean }
interface MessageRow { seq: number; sender: string | null; created_at: number; deleted: boolean; body_bytes: number }
type Detail = RoomRow & { members: Page<Member> } & Record<string, unknown>;

const COLUMNS = {
  messages: (room: RoomRow) => room.messages, head: (room: RoomRow) => room.head, partition: (room: RoomRow) => room.partition,
  last: (room: RoomRow) => room.last_message_at ?? 0,
};

export function Rooms({ chosen, follow }: { chosen: string; follow: (room: string) => void }) {
  const [back, setBack] = useState<string[]>([]);
  const [text, setText] = useState('');
  const [sort, setSort] = useState('path');
  useEffect(() => setBack([]), [text]);
  const after = back.at(-1);
  const asked = useAsked<Page<RoomRow>>(
    `rooms?limit=100${text ? `&text=${encodeURIComponent(text)}` : ''}${after ? `&after=${encodeURIComponent(after)}` : ''}`, 2_000);
  const items = sorted(asked.value?.items ?? [], COLUMNS, sort);
  const head = { sort, set: setSort };
  return (
    <div class={`split ${chosen ? 'with-detail' : ''}`}>
      <section aria-label="Rooms">
        <form class="bar" onSubmit={event => event.preventDefault()}>
          <input type="search" placeholder="Part of a title, channel or id" aria-label="Find rooms" value={text} onInput={event => setText(event.currentTarget.value.trim())} />
          <span class="quiet">Columns sort the page.</span>
        </form>
        {asked.error && <p class="error" role="alert">{asked.error}</p>}
        {asked.value?.items.length === 0 && <Empty>{asked.value.next ? 'None among these; go on.' : text ? 'No room found.' : 'There is no room yet.'}</Empty>}
        <table>
          <thead><tr><Sorter by="path" {...head}>room</Sorter><th>kind</th><th>status</th><Sorter by="head" num {...head}>head</Sorter>
            <Sorter by="messages" num {...head}>messages</Sorter><Sorter by="partition" num {...head}>partition</Sorter><th>in memory</th><Sorter by="last" {...head}>last message</Sorter></tr></thead>
          <tbody>{items.map(room => (
            <tr key={room.id} class={room.id === chosen ? 'chosen' : ''}>
              <td><button class="link" title={room.id} onClick={() => go('rooms', room.id)}>{room.title || room.channel || room.id}</button></td><td>{room.kind}</td><td>{room.status}</td>
              <td class="num">{count(room.head)}</td><td class="num">{count(room.messages)}</td><td class="num">{room.partition}</td>
              <td>{room.resident ? 'yes' : ''}</td><td>{room.last_message_at ? moment(room.last_message_at) : ''}</td></tr>
          ))}</tbody>
        </table>
        <Pager next={asked.value?.next} back={back} go={setBack} />
      </section>
      {chosen && <Room id={chosen} follow={follow} />}
    </div>
  );
}

function Room({ id, follow }: { id: string; follow: (room: string) => void }) {
  const asked = useAsked<Detail>(`rooms/${encoded(id)}`, 2_000);
  const messages = useAsked<Page<MessageRow>>(`rooms/${encoded(id)}/messages?limit=20`, 2_000);
  const [act, setAct] = useState<Act>();
  const room = asked.value;
  const path = `rooms/${encoded(id)}`;
  const done = () => { asked.again(); messages.again(); };
  const { members, id: _, ...facts } = room ?? {};
  const mayKick = room && room.kind !== 'direct' && room.kind !== 'open' && room.status === 'active';
  return (
    <aside aria-label="Room">
      <header><h2>{room?.title || room?.channel || id}</h2><button class="icon" aria-label="Close the detail" onClick={() => go('rooms')}>✕</button></header>
      <p class="path">{id}</p>
      {asked.error && !room && <p class="error" role="alert">{asked.error}</p>}
      {room && (
        <>
          <Facts of={facts} />
          <h3>Members</h3>
          {members?.items.length ? (
            <table><tbody>{members.items.map(member => (
              <tr key={member.user}><td><button class="link" onClick={() => go('users', member.user)}>{member.user}</button></td>
                <td>{member.state}{member.online ? ', online' : ''}</td>
                <td>{mayKick && member.state === 'member' && member.user !== room.creator && (
                  <button class="link" aria-label={`Kick ${member.user}`} onClick={() => setAct({ title: 'Kick', done, path: `${path}/kick`, body: { user: member.user },
                    text: `${member.user} leaves the room, and sees nothing that comes after.` })}>kick…</button>
                )}</td></tr>
            ))}</tbody></table>
          ) : <Empty>None.</Empty>}
          {members?.next && <p class="quiet">The first {members.items.length}; the rest: kervan room show.</p>}
          <h3>Newest messages</h3>
          {messages.value?.items.length ? (
            <table><tbody>{messages.value.items.map(one => (
              <tr key={one.seq}><td>{one.seq}</td><td>{one.sender ?? ''}</td><td>{clock(one.created_at)}</td><td class="num">{one.deleted ? 'deleted' : bytes(one.body_bytes)}</td>
                <td>{!one.deleted && one.sender && room.kind !== 'open' && (
                  <button class="link" aria-label={`Delete message ${one.seq}`} onClick={() => setAct({ title: 'Delete', done, method: 'DELETE', path: `${path}/messages/${one.seq}`,
                    text: `What message ${one.seq} of ${one.sender} says goes, for everybody.` })}>delete…</button>
                )}</td></tr>
            ))}</tbody></table>
          ) : <Empty>None.</Empty>}
          <footer>
            <button onClick={() => follow(id)}>Follow its messages</button>
            {room.status === 'active' && room.kind !== 'open' && (
              <button onClick={() => setAct({ title: 'End', done, path: `${path}/end`, text: 'Nobody writes there any more; what was said stays to be read.' })}>End…</button>
            )}
          </footer>
        </>
      )}
      {act && <Confirm act={act} close={() => setAct(undefined)} />}
    </aside>
  );
}
