// The switches of what is told when one looks elsewhere: of this device in a dialog, of one room in its head.

import { useRef } from 'preact/hooks';
import * as alerts from './alerts';
import type { Chat } from './chat';
import { Bell, BellOff } from './parts';
import * as push from './push';

const STATES: Record<alerts.Permission, string> = {
  default: 'The browser will ask whether this page may.',
  granted: 'For messages of chats that you are not looking at.',
  denied: 'This browser blocks notifications of this page. Its site settings can allow them.',
  missing: 'This browser shows no notifications of pages.',
};

export function Alerts() {
  const dialog = useRef<HTMLDialogElement>(null);
  const permission = alerts.permission.value;
  const isImpossible = permission === 'denied' || permission === 'missing';
  return (
    <>
      <button class="icon" onClick={() => dialog.current!.showModal()} aria-label="Notifications" title="Notifications">
        {alerts.areOn() ? <Bell /> : <BellOff />}
      </button>
      <dialog ref={dialog} aria-labelledby="alerts-title">
        <form method="dialog">
          <h2 id="alerts-title">New messages</h2>
          <label class="switch"><input type="checkbox" checked={alerts.notifies()} disabled={isImpossible} aria-describedby="alerts-state"
            onChange={event => {
              const box = event.currentTarget;
              // A refusal leaves it off.
              void alerts.setNotify(box.checked).then(() => { box.checked = alerts.notifies(); });
            }} /> Notifications</label>
          <small id="alerts-state" role="status">{STATES[permission]}</small>
          <label class="switch"><input type="checkbox" checked={alerts.sounds()}
            onChange={event => alerts.setSound(event.currentTarget.checked)} /> Sound</label>
          <small>Both are kept on this device. A bell above each chat mutes it, on all of your devices.</small>
          <footer><button class="primary">Done</button></footer>
        </form>
      </dialog>
    </>
  );
}

export function Mute({ chat, room }: { chat: Chat; room: string }) {
  const isMuted = chat.isMuted(room);
  const label = isMuted ? 'Unmute this chat' : 'Mute this chat';
  return (
    <button class="icon" aria-label={label} title={label} onClick={() => void chat.mute(room, !isMuted)}>
      {isMuted ? <BellOff /> : <Bell />}
    </button>
  );
}

// Asked once, when one has written something: an answer may come after the page is closed.
export function PushQuestion({ user }: { user: string }) {
  if (!push.asks.value) return null;
  return (
    <p class="notice question" role="status">Hear of answers while this page is closed?
      <button class="primary" onClick={() => void push.allow(user)}>Yes</button>
      <button onClick={push.refuse}>No</button></p>
  );
}
