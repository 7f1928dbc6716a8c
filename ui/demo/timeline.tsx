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
// Pixels by which the end of a message may be below the screen and still count as seen.
const SLACK = 8;
// After so long without an answer it is said.
const LATE_MS = 3_000;
// Messages of one person within this time are one group.
const GROUP_MS = 5 * 60_000;

const shapeOf = (view: HTMLDivElement) => `${view.clientHeight} of ${view.scrollHeight}`;

export function Timeline({ chat, room }: { chat: Chat; room: Room }) {
  const all = chat.messages.value[room.room] ?? [];
  const waiting = chat.outbox.waiting.value.filter(waiting => waiting.room === room.room && waiting.target === undefined);
  const place = useMemo(() => chat.places[room.room], []);
  // Where reading had come to when the room was opened: what is new since stands below a line. Told once the first page is here.
  const [unreadFrom, setUnreadFrom] = useState<number>();
  const met = useRef(false);
  // The seq of the first message in the window; none: the window ends with the newest.
  const [from, setFrom] = useState<number | undefined>(place?.from);
  const [atEnd, setAtEnd] = useState(!place);
  const box = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const anchor = useRef<{ seq: string; top: number } | undefined>(undefined);
  const loading = useRef(false);
  // Until the first unread message is found, nothing counts as seen.
  const opening = useRef(true);
  const latest = useRef(() => Promise.resolve());
  const pinned = useRef(atEnd);
  const shape = useRef('');

  const begin = useMemo(() => {
    if (from === undefined) return Math.max(0, all.length - WINDOW);
    const index = all.findIndex(message => message.seq >= from);
    return index < 0 ? Math.max(0, all.length - WINDOW) : Math.min(index, Math.max(0, all.length - WINDOW));
  }, [all, from]);
  const shown = all.slice(begin, begin + WINDOW);
  const isLast = begin + WINDOW >= all.length;
  pinned.current = atEnd && isLast;

  // The messages in the page whose end, or beginning, is on the screen.
  const onScreen = () => {
    const view = box.current!.getBoundingClientRect();
    const items = [...box.current!.querySelectorAll<HTMLElement>('[data-seq]')];
    const place = (item: HTMLElement) => item.getBoundingClientRect();
    return {
      first: items.find(item => place(item).bottom > view.top),
      last: items.findLast(item => place(item).bottom <= view.bottom + SLACK),
    };
  };

  // To the end, and the size for which that was done: a scroll that comes at the same size is one of the reader's own.
  function stick(view: HTMLDivElement) {
    view.scrollTop = view.scrollHeight;
    shape.current = shapeOf(view);
  }

  // Remembers where a message is that stays in the page over the next change.
  function hold() {
    const { first } = onScreen();
    if (first) anchor.current = { seq: first.dataset['seq']!, top: first.getBoundingClientRect().top };
  }

  async function look() {
    const view = box.current;
    if (!view) return;
    // A change of size may come as a scroll, too: whoever was at the end stays there.
    if (pinned.current && shapeOf(view) !== shape.current) stick(view);
    shape.current = shapeOf(view);
    const end = view.scrollHeight - view.scrollTop - view.clientHeight;
    const isAtEnd = isLast && end < NEAR;
    if (!opening.current) setAtEnd(isAtEnd);
    const { first, last } = onScreen();
    if (last && !opening.current) chat.seen(Number(last.dataset['seq']));
    chat.places[room.room] = isAtEnd || !first ? undefined
      : { from: all[begin]?.seq, seq: Number(first.dataset['seq']), top: first.getBoundingClientRect().top };
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

  // Opened with unread messages: begin at the first of them, not at the newest.
  useEffect(() => {
    if (met.current || !all.length) return;
    met.current = true;
    const seq = room.read_seq;
    if (!room.unread || place) {
      opening.current = false;
      return;
    }
    loading.current = true;
    setAtEnd(false);
    void chat.reach(room.room, seq).finally(() => {
      loading.current = false;
      const known = chat.messages.value[room.room] ?? [];
      const first = known.findIndex(message => message.seq > seq && message.sender !== chat.me.id);
      if (first < 0) {
        opening.current = false;
        return setAtEnd(true);
      }
      setUnreadFrom(known[first]!.seq);
      setFrom(known[Math.max(0, first - STEP)]!.seq);
    });
  }, [all.length > 0]);

  useLayoutEffect(() => {
    const mark = box.current!.querySelector('.unread-line');
    if (!opening.current || !mark) return;
    opening.current = false;
    mark.scrollIntoView({ block: 'start' });
    void look();
  }, [unreadFrom]);

  useLayoutEffect(() => {
    const view = box.current!;
    if (anchor.current) {
      const item = view.querySelector(`[data-seq="${anchor.current.seq}"]`);
      if (item) view.scrollTop += item.getBoundingClientRect().top - anchor.current.top;
      anchor.current = undefined;
    } else if (pinned.current) {
      stick(view);
    }
  });

  useLayoutEffect(() => {
    const item = place && box.current!.querySelector(`[data-seq="${place.seq}"]`);
    if (item) box.current!.scrollTop += item.getBoundingClientRect().top - place.top;
  }, []);

  // Pictures arrive, an editor opens, the composer grows: who was at the end stays there.
  useEffect(() => {
    const sizes = new ResizeObserver(() => { if (pinned.current && box.current) stick(box.current); });
    sizes.observe(box.current!);
    sizes.observe(inner.current!);
    return () => sizes.disconnect();
  }, []);

  const newest = all.at(-1)?.seq;
  useEffect(() => {
    const back = () => { if (!document.hidden && box.current) void latest.current(); };
    back();
    document.addEventListener('visibilitychange', back);
    return () => document.removeEventListener('visibilitychange', back);
  }, [newest, atEnd]);

  function toEnd() {
    setFrom(undefined);
    setAtEnd(true);
  }

  // What was refused keeps its place by time; what is on its way comes last.
  const refused = waiting.filter(message => message.failed);
  const since = (index: number) => shown[index - 1]?.ts ?? (begin === 0 ? 0 : shown[0]?.ts ?? 0);
  const refusedBefore = (ts: number, index: number) => refused.filter(({ at }) => at < ts && at >= since(index));
  const lastTs = shown.at(-1)?.ts ?? 0;

  return (
    <div class="timeline-box">
      <div class="timeline" ref={box} onScroll={() => void look()} tabIndex={0} role="log" aria-label="Messages" aria-live="polite">
        <div class="messages" ref={inner}>
          {begin === 0 && !chat.older.value[room.room] && <p class="first">This is the beginning.</p>}
          {shown.map((message, index) => {
            const before = shown[index - 1];
            const newDay = !before || day(before.ts) !== day(message.ts);
            const grouped = !newDay && before?.sender === message.sender && message.ts - before.ts < GROUP_MS;
            return (
              <Fragment key={message.seq}>
                {refusedBefore(message.ts, index).map(one => <Sending key={one.client_id} chat={chat} message={one} />)}
                {newDay && <p class="day"><span>{day(message.ts)}</span></p>}
                {message.seq === unreadFrom && <p class="unread-line" role="separator"><span>New messages</span></p>}
                <Bubble chat={chat} room={room} message={message} grouped={grouped} />
              </Fragment>
            );
          })}
          {isLast && refused.filter(({ at }) => at >= lastTs).map(one => <Sending key={one.client_id} chat={chat} message={one} />)}
          {isLast && waiting.filter(one => !one.failed).map(one => <Sending key={one.client_id} chat={chat} message={one} />)}
        </div>
      </div>
      {!atEnd && <button class="to-end" onClick={toEnd}>{room.unread ? `${room.unread} new` : 'Newest'} ↓</button>}
    </div>
  );
}

function Bubble({ chat, room, message, grouped }: { chat: Chat; room: Room; message: Message; grouped: boolean }) {
  const [editing, setEditing] = useState<string>();
  const form = useRef<HTMLFormElement>(null);
  const mine = message.sender === chat.me.id;
  const who = name(chat.persons.value[message.sender], message.sender);
  const change = mine ? chat.outbox.waiting.value.find(one => one.room === room.room && one.target === message.seq) : undefined;
  const deleted = message.deleted || change?.deletes;
  const file = deleted ? undefined : uploadOf(message.metadata);
  const fate = mine ? chat.fate(room.room, message.seq) : undefined;
  const body = deleted ? 'This message was deleted.' : change?.body ?? message.body;

  // The editor has the focus at once (autofocus would come a frame later), and all of it is on the screen, its buttons too.
  useLayoutEffect(() => {
    form.current?.querySelector('textarea')?.focus({ preventScroll: true });
    form.current?.scrollIntoView({ block: 'nearest' });
  }, [editing !== undefined]);

  function close() {
    setEditing(undefined);
    document.getElementById('compose')?.focus();
  }

  function save(event: Event) {
    event.preventDefault();
    const text = editing?.trim();
    if (text && text !== message.body) chat.edit(room.room, message.seq, text);
    close();
  }

  return (
    <article class={`message ${mine ? 'mine' : ''} ${grouped ? 'grouped' : ''} ${change ? 'sending' : ''}`} data-seq={message.seq}
      aria-label={`${who}, ${time(message.ts)}`}>
      {!mine && !grouped && <Avatar id={message.sender} label={who} />}
      <div class="bubble">
        {!mine && !grouped && room.kind !== 'direct' && <strong class="who" dir="auto">{who}</strong>}
        {editing !== undefined ? (
          <form ref={form} onSubmit={save} onKeyDown={event => { if (event.key === 'Escape') close(); }}>
            <textarea value={editing} rows={2} dir="auto" aria-label="Edit the message"
              onInput={event => setEditing(event.currentTarget.value)}
              onKeyDown={event => { if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) save(event); }} />
            <footer><button type="button" onClick={close}>Cancel</button><button class="primary">Save</button></footer>
          </form>
        ) : file ? <Attachment chat={chat} upload={file} /> : (
          <p class={deleted ? 'gone' : ''} dir="auto">{body}</p>
        )}
        {change?.failed ? <Refused chat={chat} message={change} what={change.deletes ? 'Not deleted: ' : 'Not saved: '} /> : (
          <span class="meta">
            {message.edited_at && !deleted && 'edited '}
            <time dateTime={new Date(message.ts).toISOString()}>{time(message.ts)}</time>
            {change ? <Clock what={change.deletes ? 'deleting' : 'saving'} />
              : fate && <span class={`fate ${fate}`} role="img" aria-label={fate} title={fate}>{fate === 'sent' ? '✓' : '✓✓'}</span>}
          </span>
        )}
        {!deleted && <Reactions chat={chat} room={room} message={message} />}
        {mine && !deleted && editing === undefined && (
          <span class="acts">
            {!file && <button class="icon" aria-label="Edit" title="Edit" onClick={() => setEditing(body)}><Pen /></button>}
            <button class="icon" aria-label="Delete" title="Delete" onClick={() => {
              if (confirm('Delete this message for everybody?')) chat.remove(room.room, message.seq);
            }}><Bin /></button>
          </span>
        )}
      </div>
    </article>
  );
}

const EMOJI = ['👍', '❤️', '😂', '🎉', '😮', '😢'];

function Reactions({ chat, room, message }: { chat: Chat; room: Room; message: Message }) {
  const [choosing, setChoosing] = useState(false);
  const react = (emoji: string, remove: boolean) => {
    setChoosing(false);
    void chat.react(room.room, message.seq, emoji, remove).catch(() => undefined);
  };
  return (
    <span class="reactions">
      {message.reactions?.map(({ emoji, count, own }) => (
        <button key={emoji} class={own ? 'own' : ''} aria-pressed={!!own} aria-label={`${emoji} ${count}`}
          onClick={() => react(emoji, !!own)}>{emoji} {count}</button>
      ))}
      {choosing && EMOJI.map(emoji => (
        <button key={emoji} aria-label={`React with ${emoji}`} onClick={() => react(emoji, false)}>{emoji}</button>
      ))}
      {room.status === 'active' && (
        <button class="icon add" aria-label="React" title="React" aria-expanded={choosing}
          onClick={() => setChoosing(!choosing)}>☺</button>
      )}
    </span>
  );
}

const Clock = ({ what }: { what: string }) => <span class="fate" role="img" aria-label={what} title={what}>◷</span>;

function Refused({ chat, message, what = '' }: { chat: Chat; message: Waiting; what?: string }) {
  return (
    <span class="meta">
      <span class="error" role="alert">{what}{message.failed}</span>
      <button class="link" onClick={() => chat.outbox.retry(message.client_id)}>Try again</button>
      <button class="link" onClick={() => chat.outbox.remove(message.client_id)}>Discard</button>
    </span>
  );
}

function Sending({ chat, message }: { chat: Chat; message: Waiting }) {
  const isLate = chat.state.value === 'connected' && chat.now.value - message.at > LATE_MS;
  return (
    <article class={`message mine sending ${message.failed ? 'refused' : ''}`} aria-label="Not sent yet">
      <div class="bubble">
        <p dir="auto">{message.body}</p>
        {message.failed ? <Refused chat={chat} message={message} />
          : <span class="meta">{isLate && 'Not answered yet '}{time(message.at)} <Clock what="sending" /></span>}
      </div>
    </article>
  );
}
