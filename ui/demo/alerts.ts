// Telling somebody who looks elsewhere that a message came: a notification of the browser and a sound. Both are off until
// they are switched on, and what is chosen is this device's alone; which chats are muted is the user's, for every device.
// Permission is asked for by that switch, never before.

import { signal } from '@preact/signals';
import { type Chat, type Room, name } from './chat';

export type Permission = NotificationPermission | 'missing';

const KEY = 'kervan.alerts';
// Characters of a message that a notification shows.
const TEXT = 200;
// However many messages come, the sound comes this often.
const SOUND_MS = 1_500;
// The tone: two soft notes, in Hz, and how long each is heard.
const NOTES = [659, 880];
const NOTE_S = 0.12;
const LOUDNESS = 0.06;

interface Chosen { notify: boolean; sound: boolean }

function stored(): Chosen {
  const none = { notify: false, sound: false };
  try {
    const { notify, sound } = { ...none, ...JSON.parse(localStorage.getItem(KEY) ?? '{}') };
    return { notify, sound };
  } catch {
    return none;
  }
}

function permitted(): Permission {
  return 'Notification' in window ? Notification.permission : 'missing';
}

const chosen = signal(stored());
export const permission = signal(permitted());

// The browser's own settings may change while the page is open.
void navigator.permissions?.query({ name: 'notifications' })
  .then(status => status.addEventListener('change', () => { permission.value = permitted(); }), () => undefined);
// Another tab of this device chose.
addEventListener('storage', event => { if (event.key === KEY) chosen.value = stored(); });

function choose(change: Partial<Chosen>) {
  chosen.value = { ...stored(), ...change };
  localStorage.setItem(KEY, JSON.stringify(chosen.value));
}

export const notifies = () => chosen.value.notify && permission.value === 'granted';
export const sounds = () => chosen.value.sound;
export const areOn = () => notifies() || sounds();

// Asks the browser if it was not asked yet. What it answers stands in `permission`.
export async function setNotify(on: boolean) {
  if (on && permitted() === 'default') await Notification.requestPermission();
  permission.value = permitted();
  choose({ notify: on && permission.value === 'granted' });
}

export function setSound(on: boolean) {
  choose({ sound: on });
  if (!on) return;
  play();
  // That was only to hear what it is like: a message that comes next is heard, too.
  played = 0;
}

// What is shown of each room, to be taken back when the room is read.
const shown = new Map<string, Notification>();

// Tells of what becomes unread in a chat from now on; what was when the page opened is no news. Returns what ends it.
export function watch(chat: Chat): () => void {
  const told = new Map<string, number>();
  let isNews = false;
  const end = chat.rooms.subscribe(rooms => {
    for (const room of rooms) {
      if (!room.unread) settle(room.room);
      const seq = room.last_message?.seq ?? 0;
      if (seq <= (told.get(room.room) ?? 0)) continue;
      told.set(room.room, seq);
      if (isNews && isUnseen(chat, room)) void tell(chat, room);
    }
    isNews = chat.isListed.value;
  });
  return () => { end(); [...shown.keys()].forEach(settle); };
}

const isUnseen = (chat: Chat, room: Room) => room.unread > 0 && room.last_message!.sender !== chat.me.id
  && (document.hidden || chat.open.value !== room.room);

async function tell(chat: Chat, { room, kind, peer, last_message }: Room) {
  if (chat.isMuted(room)) return;
  if (sounds()) play();
  if (!notifies()) return;
  const { sender, body: text, seq } = last_message!;
  await chat.know([peer, sender]);
  const now = chat.rooms.value.find(other => other.room === room);
  // Read or deleted meanwhile.
  if (!now || now.read_seq >= seq || now.last_message?.deleted) return;
  const who = kind === 'direct' ? '' : `${name(chat.persons.value[sender], sender)}: `;
  const body = who + (text.length > TEXT ? `${text.slice(0, TEXT)}…` : text);
  try {
    // A room has one notification at a time, the latest. The sound is ours.
    const notification = new Notification(chat.titleOf(now), { body, tag: `kervan.${chat.me.id}.${room}`, icon: 'icon.svg', silent: true });
    notification.onclick = () => { window.focus(); notification.close(); void chat.select(room); };
    shown.set(room, notification);
  } catch {
    // Browsers of phones show notifications of service workers only.
    permission.value = 'missing';
  }
}

// The room was read, perhaps elsewhere.
function settle(room: string) {
  shown.get(room)?.close();
  shown.delete(room);
}

let context: AudioContext | undefined;
let played = 0;

function play() {
  // Before the first click a browser plays nothing, and would play all of it later.
  if (!navigator.userActivation?.hasBeenActive || Date.now() - played < SOUND_MS) return;
  played = Date.now();
  context ??= new AudioContext();
  void context.resume();
  NOTES.forEach((hertz, index) => {
    const tone = context!.createOscillator();
    const volume = context!.createGain();
    const start = context!.currentTime + index * NOTE_S;
    tone.frequency.value = hertz;
    volume.gain.setValueAtTime(LOUDNESS, start);
    volume.gain.exponentialRampToValueAtTime(0.000_1, start + NOTE_S);
    tone.connect(volume).connect(context!.destination);
    tone.start(start);
    tone.stop(start + NOTE_S);
  });
}
