// One room: who is in it, what was said, and a place to write.

import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Mute } from './alerting';
import { type Chat, type Room, name } from './chat';
import { Attach } from './files';
import { Avatar, Back, Send, span } from './parts';
import { Timeline } from './timeline';

export function Conversation({ chat }: { chat: Chat }) {
  const room = chat.room.value;
  if (!room) return <main class="conversation none"><p>Choose a chat, or begin a new one.</p></main>;
  return (
    <main class="conversation" key={room.room}>
      <Head chat={chat} room={room} />
      <Timeline chat={chat} room={room} key={room.room} />
      <Composer chat={chat} room={room} />
    </main>
  );
}

function Head({ chat, room }: { chat: Chat; room: Room }) {
  const title = chat.titleOf(room);
  const typing = Object.keys(chat.typing.value[room.room] ?? {}).map(user => name(chat.persons.value[user], user));
  const members = chat.members.value[room.room] ?? [];
  const there = members.filter(user => user !== chat.me.id && chat.online.value[user]).length;
  const state = typing.length ? `${typing.join(', ')} ${typing.length > 1 ? 'are' : 'is'} typing…`
    : chat.state.value !== 'connected' ? ''
    : room.kind === 'direct' ? (chat.online.value[room.peer ?? ''] ? 'online' : 'offline')
    : members.length ? `${members.length} member${members.length > 1 ? 's' : ''}${there ? `, ${there} online` : ''}` : '';
  const left = room.status === 'active' && room.expires_at ? room.expires_at - chat.now.value : 0;
  return (
    <header class="head">
      <button class="icon back" onClick={() => history.back()} aria-label="Back to the chats"><Back /></button>
      <Avatar id={room.peer ?? room.room} label={title} online={room.peer ? chat.online.value[room.peer] : false} />
      <div class="words"><h1 dir="auto">{title}</h1><p class={typing.length ? 'live' : ''} aria-live="polite">{state}</p></div>
      {left > 0 && <small class="ends" title={new Date(room.expires_at!).toLocaleString()}>ends in {span(left)}</small>}
      {room.status === 'active' && <Mute chat={chat} room={room.room} />}
      {chat.state.value !== 'connected' && <span class="badge" role="status">Reconnecting…</span>}
    </header>
  );
}

function Composer({ chat, room }: { chat: Chat; room: Room }) {
  const [text, setText] = useState(chat.drafts[room.room] ?? '');
  const field = useRef<HTMLTextAreaElement>(null);
  const closed = room.status !== 'active' ? `This chat has ${room.status === 'ended' ? 'ended' : 'expired'}.`
    : room.may_send === 'creator' && room.creator !== chat.me.id ? 'Only its creator writes here.' : '';

  useLayoutEffect(() => { if (innerWidth > 720) field.current?.focus(); }, [room.room]);
  useLayoutEffect(() => {
    chat.drafts[room.room] = text;
    const area = field.current;
    if (!area) return;
    // As high as what is written, up to the style's bound.
    area.style.height = 'auto';
    area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
  }, [text]);

  function submit(event?: Event) {
    event?.preventDefault();
    const body = text.trim();
    if (!body) return;
    chat.send(room.room, body);
    setText('');
  }

  if (closed) {
    return (
      <p class="closed">{closed}{room.kind === 'direct' && room.peer && room.status !== 'active' && (
        <button class="primary" onClick={() => void chat.direct(room.peer!)}>Start again</button>
      )}</p>
    );
  }
  return (
    <form class="composer" onSubmit={submit}>
      <Attach chat={chat} room={room.room} />
      <textarea id="compose" ref={field} value={text} rows={1} dir="auto" aria-label={`Message to ${chat.titleOf(room)}`} placeholder="Write a message"
        onInput={event => { setText(event.currentTarget.value); chat.isTyping(room.room); }}
        onKeyDown={event => { if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) submit(event); }} />
      <button class="primary icon" aria-label="Send" disabled={!text.trim()}><Send /></button>
    </form>
  );
}
