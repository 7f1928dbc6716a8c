import './style.css';
import { signal } from '@preact/signals';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { type Session, current } from './api';
import { Chat } from './chat';
import { Conversation } from './conversation';
import { Sidebar } from './sidebar';
import { SignIn } from './signin';

const chat = signal<Chat | undefined>(undefined);

function enter(session: Session) {
  const entered = new Chat(session.user);
  // A link to a room is opened once the room is known.
  const wanted = location.hash.slice(1);
  let opened = false;
  entered.rooms.subscribe(rooms => {
    const room = rooms.find(room => room.room === wanted) ?? (innerWidth > 720 ? rooms[0] : undefined);
    if (!opened && rooms.length) {
      opened = true;
      if (room) void entered.select(room.room);
    }
  });
  entered.open.subscribe(id => {
    if (id) history.replaceState(null, '', `#${id}`);
  });
  chat.value = entered;
}

function leave() {
  chat.value?.stop();
  chat.value = undefined;
  history.replaceState(null, '', location.pathname);
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
      <p class="notice" role="alert" hidden={!now.notice.value} onClick={() => { now.notice.value = ''; }}>{now.notice.value}</p>
    </div>
  );
}

const session = current();
if (session) enter(session);
render(<App />, document.getElementById('app')!);
