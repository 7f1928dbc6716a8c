// Pushes: what comes while no page is open. The page asks whether it may once one has written something, and never before; what
// is answered is kept on this device. The subscription is this browser's, and is one device of who is signed in.

import { signal } from '@preact/signals';
import { about, knowDevice } from './api';
import type { Chat } from './chat';

const ANSWER = 'kervan.push.answer';
const DEVICE = 'kervan.push.device';
const WORKER = 'service-worker.js';

// The server's key, if it pushes to browsers, and the browser can be pushed to.
let key = '';

// Whether to ask now.
export const asks = signal(false);

const answer = () => localStorage.getItem(ANSWER);
const isPossible = () => 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window;

// The name of this browser as a device, for all who sign in here; none before it is pushed to.
export const device = () => localStorage.getItem(DEVICE) ?? undefined;

// Whoever said yes before is subscribed again at each start: subscriptions end without anybody saying so. Returns what ends it.
export function watch(chat: Chat): () => void {
  const user = chat.me.id;
  // What fails is tried again when the page is opened next.
  start(user).catch(() => undefined);
  const room = (event: MessageEvent) => { if (event.data?.open) void chat.select(event.data.open); };
  navigator.serviceWorker?.addEventListener('message', room);
  const end = chat.wrote.subscribe(wrote => {
    if (wrote && key && !answer() && Notification.permission === 'default') asks.value = true;
  });
  return () => { end(); asks.value = false; navigator.serviceWorker?.removeEventListener('message', room); };
}

async function start(user: string) {
  if (!isPossible()) return;
  key = (await about()).web_push_key ?? '';
  if (!key) {
    // A server that pushes no more, or another one at this address, leaves no worker behind.
    const registered = await navigator.serviceWorker.getRegistration();
    await registered?.unregister();
    return;
  }
  if (answer() === 'yes' && Notification.permission === 'granted') await subscribe(user);
}

// Says yes: the browser asks, too.
export async function allow(user: string) {
  asks.value = false;
  const permission = await Notification.requestPermission();
  if (permission === 'default') return;
  localStorage.setItem(ANSWER, permission === 'granted' ? 'yes' : 'no');
  if (permission === 'granted') await subscribe(user).catch(() => undefined);
}

// Says no, for good: the site settings can allow it later.
export function refuse() {
  asks.value = false;
  localStorage.setItem(ANSWER, 'no');
}

async function subscribe(user: string) {
  await navigator.serviceWorker.register(WORKER);
  const { pushManager } = await navigator.serviceWorker.ready;
  const options = { userVisibleOnly: true, applicationServerKey: key };
  let subscription;
  try {
    subscription = await pushManager.subscribe(options);
  } catch (error) {
    // It was made for another key of the server's.
    if (!(error instanceof DOMException) || error.name !== 'InvalidStateError') throw error;
    await (await pushManager.getSubscription())?.unsubscribe();
    subscription = await pushManager.subscribe(options);
  }
  if (!device()) localStorage.setItem(DEVICE, `browser-${crypto.randomUUID()}`);
  await knowDevice(user, device()!, JSON.stringify(subscription));
}
