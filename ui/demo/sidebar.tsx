// Oneself, and the rooms with what is new in them.

import { useRef } from 'preact/hooks';
import { Alerts } from './alerting';
import * as api from './api';
import { type Chat, type Room, name } from './chat';
import { NewChat } from './newchat';
import { Avatar, BellOff, Exit, Plus, Theme, day, time } from './parts';
import * as push from './push';

export function Sidebar({ chat, onLeave }: { chat: Chat; onLeave: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const me = name(chat.me, chat.me.id);

  async function signOut() {
    chat.stop();
    await api.logOut(chat.me.id, push.device()).catch(() => undefined);
    onLeave();
  }

  // Up and down go through the list, as in any list.
  function keys(event: KeyboardEvent) {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    const buttons = [...list.current!.querySelectorAll<HTMLButtonElement>('button.room')];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    buttons[at + (event.key === 'ArrowDown' ? 1 : -1)]?.focus();
    event.preventDefault();
  }

  return (
    <nav class="sidebar" aria-label="Chats">
      <header>
        <Avatar id={chat.me.id} label={me} />
        <strong class="me">{me}</strong>
        <Alerts />
        <Theme />
        <button class="icon" onClick={signOut} aria-label="Sign out" title="Sign out"><Exit /></button>
      </header>
      {/* With a chat open, its head says so. */}
      {chat.isListed.value && chat.state.value !== 'connected' && !chat.open.value && <span class="badge" role="status">Reconnecting…</span>}
      <button class="primary new" onClick={() => dialog.current!.showModal()}><Plus /> New chat</button>
      <ul ref={list} onKeyDown={keys}>
        {chat.rooms.value.map(room => <Line key={room.room} chat={chat} room={room} />)}
      </ul>
      {!chat.rooms.value.length && <p class="empty">{chat.isListed.value ? 'No chats yet.' : 'Connecting…'}</p>}
      <NewChat chat={chat} dialog={dialog} />
    </nav>
  );
}

function Line({ chat, room }: { chat: Chat; room: Room }) {
  const title = chat.titleOf(room);
  const message = room.last_message;
  const typing = Object.keys(chat.typing.value[room.room] ?? {}).length > 0;
  const who = message && room.kind !== 'direct'
    ? `${message.sender === chat.me.id ? 'You' : name(chat.persons.value[message.sender], message.sender)}: ` : '';
  const text = typing ? 'typing…' : message ? who + (message.deleted ? 'deleted' : message.body) : room.state === 'invited' ? 'Invitation' : '';
  const when = day(room.activity) === 'Today' ? time(room.activity) : new Date(room.activity).toLocaleDateString([], { day: 'numeric', month: 'short' });
  const open = chat.open.value === room.room;
  const enter = () => room.state === 'invited' ? chat.join(room.room).then(() => chat.select(room.room)) : chat.select(room.room);
  return (
    <li>
      <button class={`room ${open ? 'open' : ''}`} aria-current={open ? 'page' : undefined} onClick={() => void enter()}>
        <Avatar id={room.peer ?? room.room} label={title} online={room.peer ? chat.online.value[room.peer] : false} />
        <span class="words"><span class="title" dir="auto">{title}</span><span class={`last ${typing ? 'live' : ''}`} dir="auto">{text}</span></span>
        <span class="side"><time>{when}</time>
          {chat.isMuted(room.room) && <span class="muted" role="img" aria-label="muted"><BellOff /></span>}
          {room.unread > 0 && <span class="unread" aria-label={`${room.unread} unread`}>{room.unread > 99 ? '99+' : room.unread}</span>}
        </span>
      </button>
    </li>
  );
}
