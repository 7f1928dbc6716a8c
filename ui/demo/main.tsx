import './style.css';
import { effect, signal } from '@preact/signals';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { watch } from './alerts';
import { PushQuestion } from './alerting';
import { type Session, current } from './api';
import { Chat } from './chat';
import { Conversation } from './conversation';
import * as push from './push';
import { Sidebar } from './sidebar';
import { SignIn } from './signin';

const chat = signal<Chat | undefined>(undefined);

const NOTICE_MS = 6_000;

let unwatch = () => {};

function enter(session: Session) {
  const entered = new Chat(session.user);
  // A link to a room is opened once the room is known.
  const wanted = location.hash.slice(1);
  let opened = false;
  entered.rooms.subscribe(rooms => {
    const room = rooms.find(room => room.room === wanted) ?? (innerWidth > 720 ? rooms[0] : undefined);
    if (!opened && rooms.length) {
      opened = true;
      if (!room) return;
      // Below a room that was linked to lies the list: Back leads there on a phone.
      history.replaceState(null, '', location.pathname);
      void entered.select(room.room);
    }
  });
  // Each room is a place of its own: Back and Forward go from one to the other.
  entered.open.subscribe(id => {
    if (id && id !== location.hash.slice(1)) history.pushState(null, '', `#${id}`);
  });
  const ends = [watch(entered), push.watch(entered)];
  unwatch = () => ends.forEach(end => end());
  chat.value = entered;
}

function leave() {
  unwatch();
  chat.value?.stop();
  chat.value = undefined;
  history.replaceState(null, '', location.pathname);
}

// Goes by itself, or when it is closed.
function Notice({ chat }: { chat: Chat }) {
  const text = chat.notice.value;
  useEffect(() => {
    if (!text) return undefined;
    const over = setTimeout(() => { chat.notice.value = ''; }, NOTICE_MS);
    return () => clearTimeout(over);
  }, [text]);
  return (
    <p class="notice" role="alert" hidden={!text}>{text}
      <button class="link" aria-label="Close" onClick={() => { chat.notice.value = ''; }}>×</button></p>
  );
}

function App() {
  const now = chat.value;
  const over = now?.state.value === 'over';
  // The sign-in was taken back: the chat can't go on.
  useEffect(() => { if (over) leave(); }, [over]);
  if (!now) return <SignIn onEnter={enter} />;
  return (
    <div class={`app ${now.open.value ? 'in-room' : ''}`}>
      <a class="skip" href="#compose" onClick={event => { event.preventDefault(); document.getElementById('compose')?.focus(); }}>
        Skip to writing
      </a>
      <Sidebar chat={now} onLeave={leave} />
      <Conversation chat={now} />
      <PushQuestion user={now.me.id} />
      <Notice chat={now} />
    </div>
  );
}

addEventListener('popstate', () => {
  const id = location.hash.slice(1);
  const now = chat.value;
  if (now) void now.select(now.rooms.value.some(room => room.room === id) ? id : undefined);
});

// What is unread stands in the tab's title, and as a dot on its icon.
const icon = document.querySelector<HTMLLinkElement>('link[rel="icon"]')!;
const icons = [icon.href, new URL('./icon-unread.svg', import.meta.url).href] as const;
effect(() => {
  const unread = chat.value?.rooms.value.reduce((sum, room) => sum + room.unread, 0) ?? 0;
  document.title = unread ? `(${unread > 99 ? '99+' : unread}) Kervan` : 'Kervan';
  icon.href = icons[unread ? 1 : 0];
});

const session = current();
if (session) enter(session);
render(<App />, document.getElementById('app')!);
