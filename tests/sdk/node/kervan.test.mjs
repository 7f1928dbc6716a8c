// Kervan against the official JavaScript SDK, in both formats of the protocol. Names of tests say what must hold.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { Peer, failure } from './peer.mjs';
import { Relay, Server, token, until } from './server.mjs';

for (const format of ['json', 'protobuf']) {
  describe(format, { timeout: 120_000 }, () => {
    let server;
    let open = [];
    let count = 0;

    before(async () => { server = await Server.start(); });
    after(() => server.stop());
    afterEach(() => {
      open.forEach(thing => (thing.close ?? thing.stop).call(thing));
      open = [];
    });

    // A user whom no other test has.
    const someone = name => `${name}-${count += 1}`;
    const peer = (user, options, url = server.url) => {
      const made = new Peer(format, url, user, options);
      open.push(made);
      return made;
    };
    const connected = async (user, options, url) => {
      const made = peer(user, options, url);
      await made.connect();
      return made;
    };
    const relay = async () => {
      const made = await Relay.start(server.port);
      open.push(made);
      return made;
    };
    // A public group that the first user made, with the others in it.
    const group = async (creator, ...others) => {
      const { room } = await creator.rpc('room.create', {
        kind: 'group', client_id: randomUUID(), members: others, title: 'A group', public: true,
      });
      return { room, name: `room:${room}` };
    };
    const rest = async (user, method, path, body) => {
      const headers = { authorization: `Bearer ${token(user)}`, 'content-type': 'application/json' };
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method, headers, body: body && JSON.stringify(body) });
      const text = await answer.text();
      return { status: answer.status, body: text ? JSON.parse(text) : undefined };
    };
    const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

    describe('connecting', () => {
      test('a good token connects and brings the personal channel', async () => {
        const ann = await connected(someone('ann'));
        assert.ok(ann.last('connected').client);
        const { channel, recoverable, streamPosition } = await until(() => ann.last('subscribed'), 'server-side subscription');
        assert.equal(channel, `#${ann.user}`);
        assert.equal(recoverable, true);
        assert.ok(streamPosition.epoch);
      });

      test('a token of the command line connects', async () => {
        const user = someone('ann');
        const ann = await connected(user, { token: server.cliToken(user) });
        await until(() => ann.last('subscribed')?.channel === `#${user}`, 'the personal channel');
      });

      test('a forged token is refused with 3500, for good', async () => {
        const ann = peer(someone('ann'), { token: `${token('ann').slice(0, -6)}forged` });
        ann.client.connect();
        const { code } = await until(() => ann.last('disconnected'), 'disconnected');
        assert.equal(code, 3500);
        assert.equal(ann.client.state, 'disconnected');
      });

      test('no token is refused with 101', async () => {
        const ann = peer(someone('ann'), { token: '' });
        ann.client.connect();
        const { code } = await until(() => ann.last('disconnected'), 'disconnected');
        assert.equal(code, 101);
      });

      test('an expired token is exchanged for a new one', async () => {
        const user = someone('ann');
        let asked = 0;
        const ann = await connected(user, {
          token: token(user, -60), getToken: async () => { asked += 1; return token(user); },
        });
        assert.equal(asked, 1);
        assert.equal(ann.client.state, 'connected');
      });

      test('a connection is refreshed before its token ends', async () => {
        const user = someone('ann');
        let asked = 0;
        const ann = await connected(user, { token: token(user, 2), getToken: async () => { asked += 1; return token(user, 2); } });
        await until(() => asked >= 2, 'two refreshes');
        await ann.rpc('room.list');
        assert.equal(ann.of('connecting').length, 1, 'it never had to connect again');
      });

      test('a connection whose token ended is closed with 3005', async () => {
        const user = someone('ann');
        // The first refresh never gets an answer from the application.
        const ann = await connected(user, { token: token(user, 1), getToken: () => new Promise(() => {}) });
        // The server waits 25 s for a late refresh.
        const { code } = await until(() => ann.of('connecting')[1], 'connecting again', 40_000);
        assert.equal(code, 3005);
      });

      test('pings keep an idle connection alive', async () => {
        const ann = await connected(someone('ann'));
        // Pauses: two pings and more pass: time is what is tested.
        await new Promise(resolve => setTimeout(resolve, 2500));
        assert.equal(ann.of('connecting').length, 1);
        await ann.rpc('room.list');
      });

      test('an asynchronous message is not taken: 3508', async () => {
        const ann = await connected(someone('ann'));
        await ann.client.send(ann.encode({ hello: 'world' }));
        const { code } = await until(() => ann.last('disconnected'), 'disconnected');
        assert.equal(code, 3508);
      });

      test('one can go and come back', async () => {
        const ann = await connected(someone('ann'));
        ann.client.disconnect();
        assert.equal(ann.last('disconnected').code, 0);
        await ann.connect();
        assert.equal(ann.of('connected').length, 2);
      });
    });

    describe('open channels', () => {
      test('a publication reaches all subscribers, its publisher too, with offset and info', async () => {
        const name = someone('news');
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
        const [hers, his] = [await ann.channel(name).ready(), await bob.channel(name).ready()];
        await hers.publish({ hello: 'world', n: [1, 2.5, null] });
        for (const channel of [hers, his]) {
          const { data, offset, info } = await channel.got(() => true);
          assert.deepEqual(data, { hello: 'world', n: [1, 2.5, null] });
          assert.equal(offset, 1);
          assert.equal(info.user, ann.user);
        }
      });

      test('history is read forwards, backwards and from a position', async () => {
        const ann = await connected(someone('ann'));
        const channel = await ann.channel(someone('news')).ready();
        for (const n of numbers(1, 5)) await channel.publish({ n });
        const offsets = async options => (await channel.history(options)).publications.map(pub => [pub.offset, pub.data.n]);
        assert.deepEqual(await offsets({ limit: 2 }), [[1, 1], [2, 2]]);
        assert.deepEqual(await offsets({ limit: 2, reverse: true }), [[5, 5], [4, 4]]);
        const { offset, epoch, publications } = await channel.history({ limit: 0 });
        assert.deepEqual([offset, publications.length], [5, 0]);
        assert.deepEqual(await offsets({ limit: 10, since: { offset: 3, epoch } }), [[4, 4], [5, 5]]);
        assert.deepEqual(await offsets({ limit: 10, since: { offset: 3, epoch }, reverse: true }), [[2, 2], [1, 1]]);
        assert.equal((await offsets({ limit: -1 })).length, 5);
        const { code } = await failure(channel.history({ limit: 10, since: { offset: 3, epoch: 'other' } }));
        assert.equal(code, 112);
      });

      test('presence and its numbers tell who is there', async () => {
        const name = someone('news');
        const [ann, bob, again] = [await connected(someone('ann')), await connected(someone('bob'))];
        const third = await connected(bob.user);
        const channel = await ann.channel(name).ready();
        await bob.channel(name).ready();
        await third.channel(name).ready();
        const { clients } = await channel.sub.presence();
        assert.deepEqual(Object.values(clients).map(info => info.user).sort(), [ann.user, bob.user, bob.user].sort());
        const { numClients, numUsers } = await channel.sub.presenceStats();
        assert.deepEqual([numClients, numUsers], [3, 2]);
      });

      test('joins and leaves are told', async () => {
        const name = someone('news');
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
        const channel = await ann.channel(name, { joinLeave: true }).ready();
        const his = await bob.channel(name).ready();
        await until(() => channel.of('join').some(({ info }) => info.user === bob.user), 'join');
        his.sub.unsubscribe();
        await until(() => channel.of('leave').some(({ info }) => info.user === bob.user), 'leave');
        await his.ready();
        await until(() => channel.of('join').filter(({ info }) => info.user === bob.user).length === 2, 'the second join');
        bob.close();
        await until(() => channel.of('leave').filter(({ info }) => info.user === bob.user).length === 2, 'leave by going');
      });

      test('an unsubscribed client gets nothing and may not publish', async () => {
        const name = someone('news');
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
        const [hers, his] = [await ann.channel(name).ready(), await bob.channel(name).ready()];
        his.sub.unsubscribe();
        assert.equal(his.last('unsubscribed').code, 0);
        assert.equal((await failure(bob.client.publish(name, bob.encode({ n: 1 })))).code, 103);
        await hers.publish({ n: 2 });
        await hers.got(pub => pub.data.n === 2);
        await bob.rpc('room.list'); // Whatever was on its way to him is there now.
        assert.deepEqual(his.publications, []);
        // The SDK kept the position: coming back recovers.
        await his.ready();
        await hers.publish({ n: 3 });
        await his.got(pub => pub.data.n === 3);
        assert.deepEqual(his.publications.map(pub => pub.data.n), [2, 3]);
      });

      test('a protected channel takes a subscription token', async () => {
        const name = `private:${someone('news')}`;
        const ann = await connected(someone('ann'));
        const without = ann.channel(name);
        without.sub.subscribe();
        assert.equal((await until(() => without.last('unsubscribed'), 'unsubscribed')).code, 103);
        ann.client.removeSubscription(without.sub);
        const channel = await ann.channel(name, { token: token(ann.user, 3600, { channel: name }) }).ready();
        await channel.publish({ n: 1 });
        await channel.got(pub => pub.data.n === 1);
      });

      test('a subscription is refreshed before its token ends', async () => {
        const name = `private:${someone('news')}`;
        const ann = await connected(someone('ann'));
        let asked = 0;
        const getToken = async ({ channel }) => { asked += 1; return token(ann.user, 2, { channel }); };
        const channel = await ann.channel(name, { getToken }).ready();
        await until(() => asked >= 3, 'two refreshes');
        await channel.publish({ n: 1 });
        assert.equal(channel.of('subscribed').length, 1, 'it never had to subscribe again');
      });

      test('a namespace that is not configured is unknown', async () => {
        const ann = await connected(someone('ann'));
        const channel = ann.channel('nothing:here');
        channel.sub.subscribe();
        assert.equal((await until(() => channel.last('unsubscribed'), 'unsubscribed')).code, 102);
      });
    });

    describe('rooms', () => {
      test('two users of a direct chat talk', async () => {
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
        const made = await ann.rpc('room.create', { kind: 'direct', user: bob.user });
        const same = await bob.rpc('room.create', { kind: 'direct', user: ann.user });
        assert.equal(same.room, made.room, 'one chat for a pair');
        const [hers, his] = [await ann.channel(`room:${made.room}`).ready(), await bob.channel(`room:${made.room}`).ready()];
        const sent = await ann.rpc('message.send', { room: made.room, client_id: 'm-1', body: 'Hello Bob' });
        assert.ok(sent.id && sent.ts > 1.6e12);
        for (const channel of [hers, his]) {
          const { data, offset } = await channel.got(pub => pub.data.type === 'message');
          assert.equal(offset, sent.seq);
          assert.deepEqual(
            [data.id, data.seq, data.no, data.sender, data.body, data.client_id, data.ts],
            [sent.id, sent.seq, 1, ann.user, 'Hello Bob', 'm-1', sent.ts],
          );
        }
        await his.publish({ body: 'Hello Ann', client_id: 'm-2' });
        assert.equal((await hers.got(pub => pub.data.sender === bob.user)).data.no, 2);
      });

      test('a retry is answered with the first message', async () => {
        const ann = await connected(someone('ann'));
        const { room, name } = await group(ann);
        const channel = await ann.channel(name).ready();
        const first = await ann.rpc('message.send', { room, client_id: 'm-1', body: 'once' });
        const second = await ann.rpc('message.send', { room, client_id: 'm-1', body: 'once' });
        assert.deepEqual([second.id, second.seq, second.ts], [first.id, first.seq, first.ts]);
        await ann.rpc('message.send', { room, client_id: 'm-2', body: 'end' });
        await channel.got(pub => pub.data.body === 'end');
        assert.deepEqual(channel.publications.map(pub => pub.data.body), ['once', 'end']);
      });

      test('messages are edited, deleted and read back', async () => {
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
        const { room, name } = await group(ann, bob.user);
        const channel = await bob.channel(name).ready();
        const [one, two] = [
          await ann.rpc('message.send', { room, client_id: 'm-1', body: 'one', metadata: { k: 1 } }),
          await ann.rpc('message.send', { room, client_id: 'm-2', body: 'two' }),
        ];
        await ann.rpc('message.edit', { room, target: one.seq, body: 'one, better' });
        await ann.rpc('message.delete', { room, target: two.seq });
        const edit = await channel.got(pub => pub.data.type === 'message.edited');
        assert.deepEqual([edit.data.target, edit.data.body, edit.data.by], [one.seq, 'one, better', ann.user]);
        await channel.got(pub => pub.data.type === 'message.deleted' && pub.data.target === two.seq);
        const { messages } = await bob.rpc('message.history', { room });
        assert.deepEqual(messages.map(message => message.body).sort(), ['', 'one, better']);
        assert.ok(messages.find(message => message.seq === two.seq).deleted);
        assert.equal((await failure(bob.rpc('message.edit', { room, target: one.seq, body: 'mine' }))).code, 103);
      });

      test('unread counts follow messages and marks', async () => {
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
        const { room } = await group(ann, bob.user);
        let seq;
        for (const n of numbers(1, 3)) ({ seq } = await ann.rpc('message.send', { room, client_id: `m-${n}`, body: `${n}` }));
        const unread = async who => {
          const { rooms } = await who.rpc('room.list');
          const line = rooms.find(entry => entry.room === room);
          assert.ok(line, `the list of ${who.user} has the room: ${JSON.stringify(rooms)}`);
          return line.unread;
        };
        // What others did is in the list a moment after their acknowledgement: the room for certain once one was told.
        await until(() => bob.personal.some(({ data }) => data.type === 'room.joined' && data.room === room), 'room.joined');
        const end = Date.now() + 10_000;
        while (await unread(bob) !== 3) assert.ok(Date.now() < end, 'three unread messages');
        assert.equal(await unread(ann), 0, "one's own messages are read");
        await bob.rpc('read.mark', { room, seq });
        assert.equal(await unread(bob), 0);
      });

      test('typing and receipts come without offset', async () => {
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
        const { room, name } = await group(ann, bob.user);
        const channel = await ann.channel(name).ready();
        await bob.channel(name).ready();
        await bob.rpc('typing', { room });
        const typing = await channel.got(pub => pub.data.type === 'typing');
        assert.deepEqual([typing.data.user, typing.offset ?? 0], [bob.user, 0]);
        const { seq } = await ann.rpc('message.send', { room, client_id: 'm-1', body: 'read me' });
        await bob.rpc('read.mark', { room, seq });
        const receipt = await channel.got(pub => pub.data.type === 'receipt' && pub.data.status === 'read');
        assert.deepEqual([receipt.data.user, receipt.data.seq, receipt.offset ?? 0], [bob.user, seq, 0]);
      });

      test('invitations come in the personal channel, and open the room', async () => {
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
        const { room } = await ann.rpc('room.create', { kind: 'group', client_id: 'g', title: 'closed' });
        const channel = bob.channel(`room:${room}`);
        channel.sub.subscribe();
        const { code } = await until(() => channel.last('unsubscribed'), 'unsubscribed');
        assert.ok([102, 103, 412].includes(code), `${code}`);
        await ann.rpc('room.invite', { room, user: bob.user });
        const invited = await until(() => bob.personal.find(pub => pub.data.type === 'room.invited'), 'the invitation');
        assert.equal(invited.data.room, room);
        assert.ok(invited.offset >= 1);
        await bob.rpc('room.join', { room });
        await channel.ready();
        await ann.rpc('message.send', { room, client_id: 'm', body: 'welcome' });
        await channel.got(pub => pub.data.body === 'welcome');
      });

      test('a kicked member is unsubscribed with 2000 and sees nothing more', async () => {
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
        const { room, name } = await group(ann, bob.user);
        const [hers, his] = [await ann.channel(name).ready(), await bob.channel(name).ready()];
        await ann.rpc('message.send', { room, client_id: 'm-1', body: 'before' });
        const { seq } = await ann.rpc('room.kick', { room, user: bob.user });
        await ann.rpc('message.send', { room, client_id: 'm-2', body: 'after' });
        assert.equal((await until(() => his.last('unsubscribed'), 'unsubscribed')).code, 2000);
        await hers.got(pub => pub.data.body === 'after');
        assert.ok(his.publications.every(pub => pub.offset <= seq), 'nothing above the removal');
        assert.equal(his.sub.state, 'unsubscribed');
        assert.equal((await failure(bob.rpc('message.send', { room, client_id: 'm-3', body: 'let me in' }))).code, 412);
        his.sub.subscribe();
        const { code } = await until(() => his.of('unsubscribed')[1], 'the second refusal');
        assert.ok([103, 412].includes(code), `${code}`);
      });

      test('a chat that is muted on one device is muted on another, until it is taken back there', async () => {
        const [ann, phone] = [await connected(someone('ann')), await connected(someone('bob'))];
        const laptop = await connected(phone.user);
        const { room } = await group(ann, phone.user);
        await until(() => phone.personal.some(pub => pub.data.type === 'room.joined'), 'the room is told of');
        const mutes = async of => (await of.rpc('user.mutes')).mutes;
        const at = Date.now() + 3_600_000;
        await phone.rpc('room.mute', { room, until: at });
        assert.deepEqual(await mutes(laptop), { [room]: { until: at } });
        await phone.rpc('room.mute', { room });
        assert.deepEqual(await mutes(laptop), { [room]: {} });
        assert.deepEqual(await mutes(ann), {}, 'nobody else has muted it');
        await laptop.rpc('room.unmute', { room });
        assert.deepEqual(await mutes(phone), {});
        // The same over REST.
        assert.equal((await rest(phone.user, 'PUT', `/api/chats/${room}/mute`, {})).status, 200);
        assert.deepEqual((await rest(phone.user, 'GET', '/api/users/me/mutes')).body.mutes, { [room]: {} });
        assert.equal((await rest(phone.user, 'DELETE', `/api/chats/${room}/mute`)).status, 200);
        assert.deepEqual(await mutes(laptop), {});
        assert.equal((await failure(phone.rpc('room.mute', { room, until: 1 }))).code, 107);
        assert.equal((await failure(phone.rpc('room.mute', { room: randomUUID() }))).code, 412);
      });

      test('what is read of notifications is told to the other devices, with an offset, also to one that was away', async () => {
        const [ann, phone] = [await connected(someone('ann')), await connected(someone('bob'))];
        const laptop = await connected(phone.user);
        for (let n = 0; n < 3; n += 1) await group(ann, phone.user);
        const told = of => of.personal.filter(pub => pub.data.type === 'notification.read');
        const list = async query => (await rest(phone.user, 'GET', `/api/notifications${query}`)).body;
        let all = await list('');
        for (const end = Date.now() + 10_000; all.unread < 3 && Date.now() < end;) all = await list('');
        assert.equal(all.unread, 3);
        const [newest, middle, oldest] = all.notifications.map(one => one.id);
        await phone.rpc('notification.read', { ids: [middle] });
        await until(() => told(laptop).length === 1 && told(phone).length === 1, 'both devices hear of it');
        assert.deepEqual(told(laptop)[0].data.ids, [middle]);
        assert.ok(told(laptop)[0].offset > 0);
        assert.deepEqual((await list('?unread=true')).notifications.map(one => one.id), [newest, oldest]);
        // Read again, it is the same; the laptop is away meanwhile.
        laptop.client.disconnect();
        await phone.rpc('notification.read', { all: true, up_to: middle });
        assert.deepEqual((await list('?unread=true')).notifications.map(one => one.id), [newest]);
        await phone.rpc('notification.read', { all: true, up_to: oldest });
        assert.equal((await rest(phone.user, 'POST', '/api/notifications/read', { all: true })).status, 204);
        assert.equal((await list('')).unread, 0);
        await laptop.connect();
        await until(() => told(laptop).length === 3 && told(phone).length === 3, 'the laptop hears of it');
        assert.deepEqual(told(laptop).map(pub => pub.offset), told(phone).map(pub => pub.offset));
        assert.equal(told(laptop)[1].data.up_to, middle);
        for (const bad of [{}, { all: true, ids: [newest] }, { ids: ['x'] }]) {
          assert.equal((await failure(phone.rpc('notification.read', bad))).code, 107);
        }
      });

      test('errors of rpc have their published codes', async () => {
        const ann = await connected(someone('ann'));
        assert.equal((await failure(ann.rpc('no.such.method'))).code, 104);
        // A stranger does not learn which rooms exist.
        assert.equal((await failure(ann.rpc('message.send', { room: randomUUID(), client_id: 'm', body: 'x' }))).code, 412);
        assert.equal((await failure(ann.rpc('message.send', { room: 'no uuid', body: 'x' }))).code, 107);
        assert.equal((await failure(ann.rpc('message.send', { body: 5 }))).code, 107);
        const { room } = await group(ann);
        const tooLong = 'x'.repeat(33 * 1024);
        assert.equal((await failure(ann.rpc('message.send', { room, client_id: 'm', body: tooLong }))).code, 430);
      });

      test('many commands in one frame get all their answers, in order', async () => {
        const ann = await connected(someone('ann'));
        const { room, name } = await group(ann);
        const channel = await ann.channel(name).ready();
        const before = ann.frames;
        ann.client.startBatching();
        const answers = numbers(1, 50).map(n => ann.rpc('message.send', { room, client_id: `m-${n}`, body: `${n}` }));
        ann.client.stopBatching();
        const seqs = (await Promise.all(answers)).map(answer => answer.seq);
        assert.equal(ann.frames - before, 1);
        assert.deepEqual(seqs, numbers(seqs[0], seqs[0] + 49));
        await until(() => channel.publications.length === 50, '50 publications');
        assert.deepEqual(channel.publications.map(pub => pub.data.body), numbers(1, 50).map(String));
      });
    });

    describe('recovery', () => {
      for (const missed of [10, 700]) {
        test(`after a cut ${missed} missed messages arrive once and in order, recovered`, async () => {
          const cable = await relay();
          const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'), {}, cable.url)];
          const { room, name } = await group(ann, bob.user);
          const channel = await bob.channel(name, { recoverable: true, positioned: true }).ready();
          const send = n => ann.rpc('message.send', { room, client_id: `m-${n}`, body: `${n}` });
          await send(0);
          await channel.got(pub => pub.data.body === '0');
          cable.cut();
          await until(() => bob.client.state === 'connecting', 'the cut');
          for (let n = 1; n <= missed; n += 50) {
            await Promise.all(numbers(n, Math.min(n + 49, missed)).map(send));
          }
          cable.mend();
          await until(() => channel.of('subscribed').length === 2, 'subscribed again');
          const { wasRecovering, recovered } = channel.last('subscribed');
          assert.deepEqual([wasRecovering, recovered], [true, true]);
          await send('end');
          await channel.got(pub => pub.data.body === 'end');
          assert.deepEqual(channel.publications.map(pub => pub.data.body), [...numbers(0, missed).map(String), 'end']);
          const first = channel.publications[0].offset;
          assert.deepEqual(channel.publications.map(pub => pub.offset), numbers(first, first + missed + 1));
        });
      }

      test('messages that are sent during the recovery arrive once and in order', async () => {
        const cable = await relay();
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'), {}, cable.url)];
        const { room, name } = await group(ann, bob.user);
        const channel = await bob.channel(name, { recoverable: true }).ready();
        let sent = 0;
        const send = () => ann.rpc('message.send', { room, client_id: `m-${sent += 1}`, body: `${sent}` });
        for (const round of numbers(1, 5)) {
          cable.cut();
          await until(() => bob.client.state === 'connecting', 'the cut');
          await Promise.all(numbers(1, 20).map(send));
          cable.mend();
          while (channel.of('subscribed').length <= round) await Promise.all(numbers(1, 5).map(send));
          assert.equal(channel.last('subscribed').recovered, true);
        }
        await until(() => channel.publications.length >= sent, 'the last one');
        assert.deepEqual(channel.publications.map(pub => pub.data.body), numbers(1, sent).map(String));
      });

      test('the personal channel recovers too', async () => {
        const cable = await relay();
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'), {}, cable.url)];
        await until(() => bob.last('subscribed'), 'the personal channel');
        cable.cut();
        await until(() => bob.client.state === 'connecting', 'the cut');
        const rooms = [];
        for (const n of numbers(1, 3)) {
          const { room } = await ann.rpc('room.create', { kind: 'group', client_id: `g${n}`, title: `${n}` });
          await ann.rpc('room.invite', { room, user: bob.user });
          rooms.push(room);
        }
        cable.mend();
        await until(() => bob.personal.length >= 3, 'three invitations');
        assert.deepEqual(bob.personal.map(pub => pub.data.type), Array(3).fill('room.invited'));
        // Each room has its own partition: they come in any order, but each once.
        assert.deepEqual(bob.personal.map(pub => pub.data.room).sort(), rooms.sort());
        assert.deepEqual(bob.personal.map(pub => pub.offset), [1, 2, 3]);
        assert.equal(bob.of('subscribed').at(-1).recovered, true);
      });

      test('a position of another epoch is told: recovered is false', async () => {
        const ann = await connected(someone('ann'));
        const { room, name } = await group(ann);
        await ann.rpc('message.send', { room, client_id: 'm', body: 'x' });
        const channel = await ann.channel(name, { since: { offset: 1, epoch: 'other' } }).ready();
        const { wasRecovering, recovered } = channel.last('subscribed');
        assert.deepEqual([wasRecovering, recovered], [true, false]);
      });

      test('who unsubscribes before the missed messages are handed on gets them the next time', async () => {
        const cable = await relay();
        const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'), {}, cable.url)];
        const { room, name } = await group(ann, bob.user);
        const channel = await bob.channel(name, { recoverable: true }).ready();
        cable.cut();
        await until(() => bob.client.state === 'connecting', 'the cut');
        for (const n of numbers(1, 4)) await ann.rpc('message.send', { room, client_id: `m-${n}`, body: `${n}` });
        channel.sub.once('subscribed', () => channel.sub.unsubscribe());
        cable.mend();
        await until(() => channel.of('unsubscribed').length === 1, 'unsubscribed');
        await channel.ready();
        assert.equal(channel.last('subscribed').recovered, true);
        await until(() => channel.publications.length >= 4, 'all four');
        assert.deepEqual(channel.publications.map(pub => pub.data.body), numbers(1, 4).map(String));
      });

      test('one may recover from the very first event', async () => {
        const ann = await connected(someone('ann'));
        const { room, name } = await group(ann);
        for (const n of numbers(1, 5)) await ann.rpc('message.send', { room, client_id: `m-${n}`, body: `${n}` });
        const { streamPosition } = (await ann.channel(name, { recoverable: true }).ready()).last('subscribed');
        const again = await connected(ann.user);
        const channel = await again.channel(name, { since: { offset: 0, epoch: streamPosition.epoch } }).ready();
        assert.equal(channel.last('subscribed').recovered, true);
        await until(() => channel.publications.length === 6, 'all of it');
        assert.deepEqual(channel.publications.map(pub => pub.offset), numbers(1, 6));
        assert.equal(channel.publications[0].data.type, 'room.created');
      });

      for (const [signal, code] of [['SIGTERM', 3001], ['SIGKILL', 1]]) {
        test(`a server that ended by ${signal} is found again, with everything`, async () => {
          const [ann, bob] = [await connected(someone('ann')), await connected(someone('bob'))];
          const { room, name } = await group(ann, bob.user);
          const channel = await bob.channel(name, { recoverable: true }).ready();
          const sent = await ann.rpc('message.send', { room, client_id: 'm-1', body: 'before' });
          await channel.got(pub => pub.data.body === 'before');
          const exit = await server.end(signal);
          await server.restart();
          if (signal === 'SIGTERM') assert.equal(exit, 0);
          assert.equal(bob.of('connecting')[1]?.code, code);
          await ann.client.ready(15_000);
          const again = await ann.rpc('message.send', { room, client_id: 'm-1', body: 'before' });
          assert.deepEqual([again.id, again.seq], [sent.id, sent.seq], 'the retry finds the message');
          await ann.rpc('message.send', { room, client_id: 'm-2', body: 'after' });
          await channel.got(pub => pub.data.body === 'after');
          assert.equal(channel.last('subscribed').recovered, true);
          assert.deepEqual(channel.publications.map(pub => pub.data.body), ['before', 'after']);
        });
      }
    });
  });
}
