// The chat as this tab knows it: the connection, the rooms, their messages. Views read signals and call methods; nothing
// here touches the page.

import { computed, signal } from '@preact/signals';
import { Centrifuge, type Subscription, SubscriptionState, UnauthorizedError } from 'centrifuge';
import { ApiError, type Person, people, token } from './api';
import { upload } from './files';
import { Outbox, type Waiting, sentence, uuidv7 } from './outbox';

export interface Message {
  seq: number; no: number; sender: string; body: string; ts: number;
  client_id?: string; edited_at?: number; deleted?: boolean; reply_to?: number; metadata?: unknown;
  reactions?: Reaction[];
}
export interface Reaction { emoji: string; count: number; own?: boolean }
export interface Room {
  room: string; channel: string; kind: 'direct' | 'group' | 'broadcast'; title?: string; status: string; state?: string;
  creator?: string; peer?: string; may_send: string; read_seq: number; unread: number; activity: number; head?: number;
  expires_at?: number;
  last_message?: Message;
}
// A file on its way, or one that was refused.
export interface Uploading { key: string; room: string; name: string; part: number; file: File; failed?: string }
type Marks = Record<string, { read?: number; delivered?: number }>;

const PAGE = 50;
const TYPING_MS = 5_000;
// While one scrolls, marks are told this often; and who went is asked after so long.
const MARK_MS = 300;
const ASK_MS = 500;
// Pages that are loaded to find the first unread message.
const UNREAD_PAGES = 10;

export const name = (person: Person | undefined, id: string) =>
  [person?.first_name, person?.last_name].filter(Boolean).join(' ') || person?.username || id;

export class Chat {
  readonly state = signal<'connecting' | 'connected' | 'over'>('connecting');
  readonly rooms = signal<Room[]>([]);
  // Whether the server has said which there are.
  readonly isListed = signal(false);
  readonly open = signal<string | undefined>(undefined);
  readonly messages = signal<Record<string, Message[]>>({});
  readonly older = signal<Record<string, boolean>>({});
  readonly persons = signal<Record<string, Person>>({});
  readonly online = signal<Record<string, boolean>>({});
  readonly marks = signal<Record<string, Marks>>({});
  readonly members = signal<Record<string, string[]>>({});
  // The rooms that this user has muted, on every device, and until when; 0 for no end.
  readonly mutes = signal<Record<string, number>>({});
  readonly typing = signal<Record<string, Record<string, number>>>({});
  readonly notice = signal('');
  // The time, each second: for what is told by it.
  readonly now = signal(Date.now());
  readonly uploading = signal<Uploading[]>([]);
  readonly room = computed(() => this.rooms.value.find(room => room.room === this.open.value));

  private readonly client: Centrifuge;
  readonly outbox: Outbox;
  // Whether one has written something since the page was opened.
  readonly wrote = signal(false);
  // What is written and not sent, and where one was reading, by room.
  readonly drafts: Record<string, string> = {};
  readonly places: Record<string, { from?: number; seq: number; top: number } | undefined> = {};
  private readonly asked = new Map<string, Promise<void>>();
  private typed = 0;
  private marking: ReturnType<typeof setTimeout> | undefined;
  // Rooms whose marks moved and are not told yet: one may look at several within that time.
  private readonly unmarked = new Set<string>();
  private asking: ReturnType<typeof setTimeout> | undefined;
  private readonly delivered: Record<string, number> = {};
  private readonly timers: ReturnType<typeof setInterval>[] = [];

  constructor(readonly me: Person) {
    this.outbox = new Outbox(me.id, {
      isUp: () => this.state.value === 'connected',
      call: (method, data) => this.rpc(method, data),
      reconnect: () => { this.client.disconnect(); this.client.connect(); },
    });
    const url = new URL('connection/websocket', location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    url.hash = '';
    this.client = new Centrifuge(url.href, { getToken: () => this.token(), maxReconnectDelay: 5_000 });
    this.client.on('connected', () => { this.state.value = 'connected'; this.notice.value = ''; void this.refresh(); });
    // Who is there is not known without a connection.
    this.client.on('connecting', () => { this.state.value = 'connecting'; this.online.value = {}; });
    // Code 0 is our own hanging up.
    this.client.on('disconnected', ({ code }) => { if (code !== 0) this.state.value = 'over'; });
    this.client.on('publication', ({ data }) => this.personal(data));
    this.client.connect();
    // Muted on another device meanwhile.
    document.addEventListener('visibilitychange', this.looks);
    this.timers.push(setInterval(() => { void this.presence(); void this.askMutes(); }, 60_000), setInterval(() => this.tick(), 1_000));
  }

  private readonly looks = () => { if (!document.hidden) void this.askMutes(); };

  stop() {
    this.timers.forEach(clearInterval);
    document.removeEventListener('visibilitychange', this.looks);
    this.client.disconnect();
  }

  private async token(): Promise<string> {
    try {
      return await token(this.me.id);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) throw new UnauthorizedError('signed out');
      throw error;
    }
  }

  private rpc<T>(method: string, data: object): Promise<T> {
    return this.client.rpc(method, data).then(result => result.data);
  }

  // --- rooms

  async refresh() {
    const rooms: Room[] = [];
    for (let cursor: string | undefined; ;) {
      const page: { rooms: Room[]; cursor?: string } = await this.rpc('room.list', { limit: 100, cursor });
      rooms.push(...page.rooms);
      if (!(cursor = page.cursor) || rooms.length >= 1_000) break;
    }
    // What is over leaves the list, but not the screen of whoever looks at it.
    const open = this.room.value;
    if (open && !rooms.some(room => room.room === open.room)) {
      rooms.push(open.status === 'active' ? { ...open, status: 'ended' } : open);
    }
    this.isListed.value = true;
    this.rooms.value = rooms.map(room => ({ ...room, read_seq: this.readIn(room) }));
    rooms.filter(room => room.state === 'member').forEach(room => this.listen(room));
    void this.know(rooms.flatMap(room => [room.peer, room.last_message?.sender, room.creator]));
    void this.presence();
    void this.askMutes();
    if (this.open.value) void this.select(this.open.value);
    void this.outbox.flush();
  }

  private tick() {
    this.now.value = Date.now();
    this.forgetTyping();
  }

  private listen(room: Room) {
    if (this.client.getSubscription(room.channel)) return;
    const subscription = this.client.newSubscription(room.channel, { recoverable: true, joinLeave: true });
    subscription.on('publication', ({ data }) => this.event(room.room, data));
    subscription.on('subscribed', ({ wasRecovering, recovered }) => {
      // The first time, or when not all that was missed could be given: begin with the newest page.
      if (!(wasRecovering && recovered)) void this.begin(room.room, subscription);
    });
    subscription.on('join', ({ info }) => { this.online.value = { ...this.online.value, [info.user]: true }; });
    // He may be here on another device yet: that is asked.
    subscription.on('leave', () => this.presenceSoon());
    subscription.on('unsubscribed', ({ code }) => { if (code >= 2_000 && code < 2_500) this.left(room.room, subscription); });
    subscription.subscribe();
  }

  private left(id: string, subscription: Subscription) {
    this.client.removeSubscription(subscription);
    const room = this.rooms.value.find(room => room.room === id);
    this.rooms.value = this.rooms.value.filter(room => room.room !== id);
    if (this.open.value !== id) return;
    void this.select(undefined);
    if (room) this.notice.value = `You are not in “${this.titleOf(room)}” any more.`;
  }

  private change(id: string, change: (room: Room) => Partial<Room>) {
    const rooms = this.rooms.value.map(room => room.room === id ? { ...room, ...change(room) } : room);
    this.rooms.value = rooms.sort((a, b) => b.activity - a.activity);
  }

  async select(id: string | undefined) {
    this.open.value = id;
    this.notice.value = '';
    if (!id) return;
    type Page = { members: { user: string; read_seq?: number }[] };
    // Without a connection what is known is shown; the rest comes with it.
    const page = await this.rpc<Page>('room.members', { room: id, limit: 300, marks: true }).catch(() => undefined);
    if (!page) return;
    this.members.value = { ...this.members.value, [id]: page.members.map(member => member.user) };
    for (const { user, read_seq } of page.members) this.mark(id, user, 'read', read_seq ?? 0);
    void this.know(page.members.map(member => member.user));
    void this.presence();
  }

  async direct(user: string) { await this.enter(await this.rpc('room.create', { kind: 'direct', user })); }

  async group(title: string, members: string[]) {
    await this.enter(await this.rpc('room.create', { kind: 'group', title, members }));
  }

  async join(id: string) {
    await this.rpc('room.join', { room: id });
    await this.refresh();
  }

  async leave(id: string) { await this.rpc('room.leave', { room: id }); }

  async end(id: string) { await this.rpc('room.end', { room: id }); }

  isMuted(id: string): boolean {
    const until = this.mutes.value[id];
    return until !== undefined && (until === 0 || until > this.now.value);
  }

  async mute(id: string, on: boolean) {
    try {
      await this.rpc(on ? 'room.mute' : 'room.unmute', { room: id });
    } catch {
      this.notice.value = `The chat could not be ${on ? 'muted' : 'unmuted'}. Try again in a moment.`;
      return;
    }
    const { [id]: _, ...rest } = this.mutes.value;
    this.mutes.value = on ? { ...rest, [id]: 0 } : rest;
  }

  private async askMutes() {
    if (this.state.value !== 'connected') return;
    const page = await this.rpc<{ mutes: Record<string, { until?: number }> }>('user.mutes', {}).catch(() => undefined);
    if (!page) return;
    this.mutes.value = Object.fromEntries(Object.entries(page.mutes).map(([id, { until }]) => [id, until ?? 0]));
  }

  private async enter(made: { room: string }) {
    await this.refresh();
    // It is on the screen now, to be written in; who its members are may come later.
    void this.select(made.room);
  }

  // --- messages

  private put(id: string, more: Message[]) {
    const known = new Map((this.messages.value[id] ?? []).map(message => [message.seq, message]));
    more.forEach(message => known.set(message.seq, { ...known.get(message.seq), reactions: undefined, ...message }));
    const sorted = [...known.values()].sort((a, b) => a.seq - b.seq);
    this.messages.value = { ...this.messages.value, [id]: sorted };
  }

  // Asks for the newest page until it is there: while the database is away it may not be given.
  private async begin(id: string, subscription: Subscription, wait = 500) {
    try {
      await this.latest(id);
    } catch (error: any) {
      // Without a subscription it is asked for with the next one.
      if (subscription.state !== SubscriptionState.Subscribed || !(error.code < 100 || error.temporary)) return;
      setTimeout(() => void this.begin(id, subscription, Math.min(2 * wait, 10_000)), wait);
    }
  }

  private async latest(id: string) {
    const page = await this.rpc<{ messages: Message[]; more: boolean }>('message.history', { room: id, limit: PAGE });
    const known = this.messages.value[id] ?? [];
    // A page that does not reach what is known leaves a gap: then only the page is known.
    const first = page.messages[0]?.no ?? 0;
    if (known.length && first > known.at(-1)!.no + 1) this.messages.value = { ...this.messages.value, [id]: [] };
    if (!known.length || first <= (known[0]?.no ?? 0) || first > known.at(-1)!.no + 1) {
      this.older.value = { ...this.older.value, [id]: page.more };
    }
    this.put(id, page.messages);
    // The list may have been made before the newest of them.
    const newest = page.messages.at(-1);
    this.change(id, room => ({ read_seq: this.readIn(room), unread: Math.max(room.unread, this.unreadAfter(id, this.readIn(room))),
      ...(newest && newest.seq > (room.last_message?.seq ?? 0) && { last_message: newest, activity: newest.ts, head: newest.seq }) }));
    this.settle(id, page.messages);
    void this.know(page.messages.map(message => message.sender));
  }

  // Loads pages until the first unread message is known, within reason.
  async reach(id: string, seq: number) {
    for (let page = 0; page < UNREAD_PAGES; page++) {
      const first = this.messages.value[id]?.[0];
      if (!first || first.seq <= seq || !(await this.more(id).catch(() => false))) return;
    }
  }

  // Loads the page before the first known message. Says whether there was one.
  async more(id: string): Promise<boolean> {
    const first = this.messages.value[id]?.[0];
    if (!first || !this.older.value[id]) return false;
    const page = await this.rpc<{ messages: Message[]; more: boolean }>('message.history',
      { room: id, before: first.seq, limit: 100 });
    this.older.value = { ...this.older.value, [id]: page.more };
    this.put(id, page.messages);
    void this.know(page.messages.map(message => message.sender));
    return page.messages.length > 0;
  }

  // What is known to be in needs no place in the outbox any more.
  private settle(id: string, messages: Message[]) {
    const mine = new Set(messages.filter(message => message.sender === this.me.id).map(message => message.client_id));
    const settled = this.outbox.waiting.value.filter(waiting =>
      waiting.room === id && waiting.target === undefined && mine.has(waiting.client_id));
    if (settled.length) this.outbox.remove(...settled.map(waiting => waiting.client_id));
  }

  private event(id: string, data: any) {
    switch (data.type) {
      case 'message': {
        const message: Message = data;
        this.put(id, [message]);
        this.settle(id, [message]);
        void this.know([message.sender]);
        const mine = message.sender === this.me.id;
        this.change(id, room => ({ last_message: message, activity: message.ts, head: message.seq,
          unread: mine ? 0 : room.unread + 1, read_seq: mine ? message.seq : room.read_seq }));
        this.untype(id, message.sender);
        if (!mine) this.arrived(id, message.seq);
        return;
      }
      case 'message.edited': return this.edited(id, data.target, { body: data.body, edited_at: data.ts });
      case 'message.deleted': return this.edited(id, data.target, { body: '', deleted: true });
      case 'message.reacted': return this.reacted(id, data);
      case 'room.updated': return this.change(id, () => ({ title: data.title, may_send: data.may_send, expires_at: data.expires_at }));
      case 'room.ended': return this.change(id, () => ({ status: 'ended' }));
      case 'room.expired': return this.change(id, () => ({ status: 'expired' }));
      case 'room.reopened': return this.change(id, () => ({ status: 'active', expires_at: data.expires_at }));
      case 'member.joined': case 'member.left': case 'member.kicked': {
        const members = new Set(this.members.value[id] ?? []);
        data.type === 'member.joined' ? members.add(data.user) : members.delete(data.user);
        this.members.value = { ...this.members.value, [id]: [...members] };
        void this.know([data.user]);
        return;
      }
      case 'typing':
        if (data.user === this.me.id) return;
        this.typing.value = { ...this.typing.value, [id]: { ...this.typing.value[id], [data.user]: Date.now() } };
        void this.know([data.user]);
        return;
      case 'receipt': return this.mark(id, data.user, data.status, data.seq);
    }
  }

  private edited(id: string, seq: number, change: Partial<Message>) {
    // One's own change that is in, though its answer was lost.
    const done = this.outbox.waiting.value.filter(waiting =>
      waiting.room === id && waiting.target === seq && (change.deleted || waiting.body === change.body));
    if (done.length) this.outbox.remove(...done.map(waiting => waiting.client_id));
    const known = this.messages.value[id]?.find(message => message.seq === seq);
    if (known) this.put(id, [{ ...known, ...change }]);
    this.change(id, room => room.last_message?.seq === seq ? { last_message: { ...room.last_message, ...change } } : {});
  }

  // One's own reaction is shown at once and counted once; those of others as they are told.
  private reacted(id: string, { target, emoji, removed, by }: { target: number; emoji: string; removed?: boolean; by: string }) {
    const known = this.messages.value[id]?.find(message => message.seq === target);
    if (!known || known.deleted || !emoji) return;
    const own = by === this.me.id;
    const old = known.reactions?.find(one => one.emoji === emoji) ?? { emoji, count: 0 };
    if (own && !!old.own === !removed) return;
    const now = { ...old, count: old.count + (removed ? -1 : 1), own: own ? !removed : old.own };
    const others = known.reactions?.filter(one => one.emoji !== emoji) ?? [];
    this.put(id, [{ ...known, reactions: now.count > 0 ? [...others, now] : others }]);
  }

  private personal(data: any) {
    if (data.type === 'read') return this.readTo(data.room, data.seq);
    if (typeof data.type === 'string' && data.type.startsWith('room.')) void this.refresh();
  }

  private mark(id: string, user: string, what: 'read' | 'delivered', seq: number) {
    const marks = this.marks.value[id] ?? {};
    const old = marks[user] ?? {};
    if ((old[what] ?? 0) >= seq) return;
    this.marks.value = { ...this.marks.value, [id]: { ...marks, [user]: { ...old, [what]: seq } } };
  }

  private arrived(id: string, seq: number) {
    if ((this.delivered[id] ?? 0) >= seq) return;
    this.delivered[id] = seq;
    void this.rpc('message.delivered', { room: id, seq }).catch(() => undefined);
  }

  private readTo(id: string, seq: number) {
    this.change(id, room => seq > room.read_seq ? { read_seq: seq, unread: this.unreadAfter(id, seq) } : {});
  }

  // The mark, or one's own last message: whoever writes has read, and no mark is told for it.
  private readIn(room: Room): number {
    const own = (this.messages.value[room.room] ?? []).findLast(message => message.sender === this.me.id);
    return Math.max(room.read_seq, own?.seq ?? 0);
  }

  // Of those that are known.
  private unreadAfter(id: string, seq: number): number {
    return (this.messages.value[id] ?? []).filter(message => message.seq > seq && message.sender !== this.me.id).length;
  }

  // The messages of the open room up to this one have been on the screen.
  seen(seq: number) {
    const room = this.room.value;
    if (!room || document.hidden || seq <= room.read_seq) return;
    this.readTo(room.room, seq);
    this.unmarked.add(room.room);
    this.marking ??= setTimeout(() => this.tellMarks(), MARK_MS);
  }

  private tellMarks() {
    this.marking = undefined;
    for (const { room, read_seq } of this.rooms.value) {
      if (this.unmarked.has(room)) void this.rpc('read.mark', { room, seq: read_seq }).catch(() => undefined);
    }
    this.unmarked.clear();
  }

  // How far a message of one's own came.
  fate(id: string, seq: number): 'sent' | 'delivered' | 'read' {
    const others = (this.members.value[id] ?? []).filter(user => user !== this.me.id);
    const marks = this.marks.value[id] ?? {};
    const came = (what: 'read' | 'delivered') => others.some(user =>
      Math.max(marks[user]?.read ?? 0, what === 'delivered' ? marks[user]?.delivered ?? 0 : 0) >= seq);
    return came('read') ? 'read' : came('delivered') ? 'delivered' : 'sent';
  }

  send(room: string, body: string, more: Pick<Waiting, 'type' | 'metadata'> = {}) {
    this.outbox.add({ room, body, ...more });
    this.wrote.value = true;
  }

  edit(room: string, target: number, body: string) { this.outbox.add({ room, target, body }); }

  async react(room: string, target: number, emoji: string, remove: boolean) {
    await this.rpc('message.react', { room, target, emoji, remove, client_id: uuidv7() });
    this.reacted(room, { target, emoji, removed: remove, by: this.me.id });
  }
  remove(room: string, target: number) { this.outbox.add({ room, target, body: '', deletes: true }); }

  // Sends a file, then the message that brings it: that one waits in the outbox like any other.
  async attach(room: string, file: File, key = uuidv7()) {
    const note = (change: Partial<Uploading>) => {
      this.uploading.value = this.uploading.value.map(one => one.key === key ? { ...one, ...change } : one);
    };
    const others = this.uploading.value.filter(one => one.key !== key);
    this.uploading.value = [...others, { key, room, name: file.name || 'picture', part: 0, file }];
    try {
      const done = await upload(room, file, await token(this.me.id), part => note({ part }));
      this.forget(key);
      this.send(room, done.name, { type: done.thumbnail_url ? 'image' : 'file', metadata: { upload: done } });
    } catch (error) {
      note({ failed: error instanceof ApiError ? sentence(error.message) : 'The file could not be sent.' });
    }
  }

  forget(key: string) {
    this.uploading.value = this.uploading.value.filter(one => one.key !== key);
  }

  // The bytes of a file that this user may see.
  async file(url: string): Promise<Blob> {
    const answer = await fetch(url, { headers: { authorization: `Bearer ${await token(this.me.id)}` } });
    if (!answer.ok) throw new ApiError(answer.status, 'file', answer.statusText);
    return answer.blob();
  }

  isTyping(id: string) {
    if (Date.now() - this.typed < 2_000 || this.state.value !== 'connected') return;
    this.typed = Date.now();
    void this.rpc('typing', { room: id }).catch(() => undefined);
  }

  private untype(id: string, user: string) {
    const { [user]: _, ...rest } = this.typing.value[id] ?? {};
    this.typing.value = { ...this.typing.value, [id]: rest };
  }

  private forgetTyping() {
    const over = Date.now() - TYPING_MS;
    for (const [id, users] of Object.entries(this.typing.value)) {
      for (const [user, at] of Object.entries(users)) if (at < over) this.untype(id, user);
    }
  }

  // --- people

  // Ends when their names are known, as far as they have any.
  async know(ids: (string | undefined)[]) {
    const all = [...new Set(ids)].filter(id => id !== undefined);
    const wanted = all.filter(id => !this.asked.has(id));
    for (let i = 0; i < wanted.length; i += 50) {
      const some = wanted.slice(i, i + 50);
      const answer = people(this.me.id, some).then(
        found => { this.persons.value = { ...this.persons.value, ...Object.fromEntries(found.map(person => [person.id, person])) }; },
        () => some.forEach(id => this.asked.delete(id)));
      some.forEach(id => this.asked.set(id, answer));
    }
    await Promise.all(all.map(id => this.asked.get(id)));
  }

  private presenceSoon() {
    this.asking ??= setTimeout(() => { this.asking = undefined; void this.presence(); }, ASK_MS);
  }

  private async presence() {
    const peers = this.rooms.value.map(room => room.peer);
    const wanted = [...new Set([...peers, ...(this.members.value[this.open.value ?? ''] ?? [])])].filter(Boolean).slice(0, 100);
    if (!wanted.length || this.state.value !== 'connected') return;
    const page = await this.rpc<{ users: Record<string, { online: boolean }> }>('presence.get', { users: wanted }).catch(() => undefined);
    if (!page) return;
    this.online.value = Object.fromEntries(Object.entries(page.users).map(([id, { online }]) => [id, online]));
  }

  titleOf(room: Room): string {
    if (room.kind === 'direct') return name(this.persons.value[room.peer ?? ''], room.peer ?? '');
    return room.title || 'Group';
  }
}
