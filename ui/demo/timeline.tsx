// What was said. Of all that is loaded only a window is in the page, so that a long history costs no more than a short
// one; at its edges the window moves, and what is on the screen stays where it is.

import { Fragment } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type Chat, type Message, type Room, name } from './chat';
import type { Waiting } from './outbox';
import { Attachment, uploadOf } from './files';
import { Avatar, Bin, Pen, day, time } from './parts';

// Messages in the page at most, and by how many the window moves.
const WINDOW = 120;
const STEP = 40;
// Pixels from an edge at which it moves, and from the end that still count as being there.
const EDGE = 600;
const NEAR = 80;
// Messages of one person within this time are one group.
const GROUP_MS = 5 * 60_000;

export function Timeline({ chat, room }: { chat: Chat; room: Room }) {
  const all = chat.messages.value[room.room] ?? [];
  const waiting = chat.waiting.value.filter(waiting => waiting.room === room.room);
  // The seq of the first message in the window; none: the window ends with the newest.
  const [from, setFrom] = useState<number>();
  const [atEnd, setAtEnd] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  const anchor = useRef<{ seq: string; top: number } | undefined>(undefined);
  const loading = useRef(false);
  const latest = useRef(() => Promise.resolve());

  const begin = useMemo(() => {
    if (from === undefined) return Math.max(0, all.length - WINDOW);
    const index = all.findIndex(message => message.seq >= from);
    return index < 0 ? Math.max(0, all.length - WINDOW) : Math.min(index, Math.max(0, all.length - WINDOW));
  }, [all, from]);
  const shown = all.slice(begin, begin + WINDOW);
  const isLast = begin + WINDOW >= all.length;

  // Remembers where a message is that stays in the page over the next change.
  function hold() {
    const view = box.current!.getBoundingClientRect();
    const items = box.current!.querySelectorAll<HTMLElement>('[data-seq]');
    for (const item of items) {
      const { top, bottom } = item.getBoundingClientRect();
      if (bottom > view.top) {
        anchor.current = { seq: item.dataset['seq']!, top };
        return;
      }
    }
  }

  async function look() {
    const view = box.current!;
    const end = view.scrollHeight - view.scrollTop - view.clientHeight;
    setAtEnd(isLast && end < NEAR);
    if (loading.current) return;
    if (view.scrollTop < EDGE) {
      if (begin > 0) {
        hold();
        setFrom(all[Math.max(0, begin - STEP)]!.seq);
      } else if (chat.older.value[room.room]) {
        loading.current = true;
        try {
          setFrom(all[0]?.seq);
          // At the very top no scroll follows that would ask again.
          if (await chat.more(room.room)) requestAnimationFrame(() => void latest.current());
        } catch {
          // The connection is gone: the next scroll tries again.
        } finally {
          loading.current = false;
        }
      }
    } else if (end < EDGE && !isLast) {
      hold();
      const next = begin + STEP;
      setFrom(next + WINDOW >= all.length ? undefined : all[next]!.seq);
    }
  }

  latest.current = look;

  useLayoutEffect(() => {
    const view = box.current!;
    if (anchor.current) {
      const item = view.querySelector(`[data-seq="${anchor.current.seq}"]`);
      if (item) view.scrollTop += item.getBoundingClientRect().top - anchor.current.top;
      anchor.current = undefined;
    } else if (atEnd && isLast) {
      view.scrollTop = view.scrollHeight;
    }
  });

  const newest = all.at(-1)?.seq;
  useEffect(() => {
    if (atEnd) chat.seen();
    const back = () => { if (!document.hidden && atEnd) chat.seen(); };
    document.addEventListener('visibilitychange', back);
    return () => document.removeEventListener('visibilitychange', back);
  }, [newest, atEnd]);

  function toEnd() {
    setFrom(undefined);
    setAtEnd(true);
    requestAnimationFrame(() => { box.current!.scrollTop = box.current!.scrollHeight; });
  }

  return (
    <div class="timeline-box">
      <div class="timeline" ref={box} onScroll={() => void look()} tabIndex={0} role="log" aria-label="Messages" aria-live="polite">
        {begin === 0 && !chat.older.value[room.room] && <p class="first">This is the beginning.</p>}
        {shown.map((message, index) => {
          const before = shown[index - 1];
          const newDay = !before || day(before.ts) !== day(message.ts);
          const grouped = !newDay && before?.sender === message.sender && message.ts - before.ts < GROUP_MS;
          return (
            <Fragment key={message.seq}>
              {newDay && <p class="day"><span>{day(message.ts)}</span></p>}
              <Bubble chat={chat} room={room} message={message} grouped={grouped} />
            </Fragment>
          );
        })}
        {isLast && waiting.map(message => <Sending key={message.client_id} chat={chat} message={message} />)}
      </div>
      {!atEnd && <button class="to-end" onClick={toEnd}>{room.unread ? `${room.unread} new` : 'Newest'} ↓</button>}
    </div>
  );
}

function Bubble({ chat, room, message, grouped }: { chat: Chat; room: Room; message: Message; grouped: boolean }) {
  const [editing, setEditing] = useState<string>();
  const mine = message.sender === chat.me.id;
  const who = name(chat.persons.value[message.sender], message.sender);
  const file = message.deleted ? undefined : uploadOf(message.metadata);
  const fate = mine ? chat.fate(room.room, message.seq) : undefined;

  function save(event: Event) {
    event.preventDefault();
    const body = editing?.trim();
    if (body && body !== message.body) void chat.edit(room.room, message.seq, body);
    setEditing(undefined);
  }

  return (
    <article class={`message ${mine ? 'mine' : ''} ${grouped ? 'grouped' : ''}`} data-seq={message.seq} aria-label={`${who}, ${time(message.ts)}`}>
      {!mine && !grouped && <Avatar id={message.sender} label={who} />}
      <div class="bubble">
        {!mine && !grouped && room.kind !== 'direct' && <strong class="who">{who}</strong>}
        {editing !== undefined ? (
          <form onSubmit={save}>
            <textarea value={editing} rows={2} aria-label="Change the message" autofocus
              onInput={event => setEditing(event.currentTarget.value)}
              onKeyDown={event => {
                if (event.key === 'Escape') setEditing(undefined);
                if (event.key === 'Enter' && !event.shiftKey) save(event);
              }} />
            <footer><button type="button" onClick={() => setEditing(undefined)}>Cancel</button><button class="primary">Save</button></footer>
          </form>
        ) : file ? <Attachment chat={chat} upload={file} /> : (
          <p class={message.deleted ? 'gone' : ''}>{message.deleted ? 'This message was deleted.' : message.body}</p>
        )}
        <span class="meta">
          {message.edited_at && !message.deleted && 'edited '}
          <time dateTime={new Date(message.ts).toISOString()}>{time(message.ts)}</time>
          {fate && <span class={`fate ${fate}`} role="img" aria-label={fate} title={fate}>{fate === 'sent' ? '✓' : '✓✓'}</span>}
        </span>
        {mine && !message.deleted && editing === undefined && (
          <span class="acts">
            {!file && <button class="icon" aria-label="Edit" title="Edit" onClick={() => setEditing(message.body)}><Pen /></button>}
            <button class="icon" aria-label="Delete" title="Delete" onClick={() => {
              if (confirm('Delete this message for everybody?')) void chat.remove(room.room, message.seq);
            }}><Bin /></button>
          </span>
        )}
      </div>
    </article>
  );
}

function Sending({ chat, message }: { chat: Chat; message: Waiting }) {
  return (
    <article class="message mine sending" aria-label="Not sent yet">
      <div class="bubble">
        <p>{message.body}</p>
        <span class="meta">
          {message.failed ? <>
            <span class="error">{message.failed}</span>
            <button class="link" onClick={() => chat.retry(message.client_id)}>Try again</button>
            <button class="link" onClick={() => chat.discard(message.client_id)}>Discard</button>
          </> : <>{time(message.at)} <span class="fate" role="img" aria-label="sending" title="sending">◷</span></>}
        </span>
      </div>
    </article>
  );
}
