// A user of the official SDK that keeps everything it is told.

import { Centrifuge as JsonCentrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import WebSocket from 'ws';
import { token, until } from './server.mjs';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// The same client in either format: payloads are JSON values here.
export function codec(format) {
  const protobuf = format === 'protobuf';
  return {
    Centrifuge: protobuf ? ProtobufCentrifuge : JsonCentrifuge,
    encode: value => (protobuf ? encoder.encode(JSON.stringify(value)) : value),
    decode: value => (protobuf && value?.byteLength !== undefined ? JSON.parse(decoder.decode(value)) : value),
  };
}

export class Channel {
  constructor(peer, name, options = {}) {
    this.peer = peer;
    this.name = name;
    this.events = [];
    this.publications = [];
    this.sub = peer.client.newSubscription(name, options);
    for (const event of ['subscribing', 'subscribed', 'unsubscribed', 'error', 'join', 'leave']) {
      this.sub.on(event, ctx => this.events.push({ event, ...ctx }));
    }
    this.sub.on('publication', ctx => this.publications.push({ ...ctx, data: peer.decode(ctx.data) }));
  }

  of(event) {
    return this.events.filter(entry => entry.event === event);
  }

  last(event) {
    return this.of(event).at(-1);
  }

  // Subscribes and waits for it.
  async ready() {
    this.sub.subscribe();
    await this.sub.ready(10_000);
    return this;
  }

  // Waits for a publication.
  got(fits, what = 'a publication') {
    return until(() => this.publications.find(fits), `${what} in ${this.name} of ${this.peer.user}`);
  }

  publish(data) {
    return this.sub.publish(this.peer.encode(data));
  }

  async history(options) {
    const page = await this.sub.history(options);
    return { ...page, publications: page.publications.map(pub => ({ ...pub, data: this.peer.decode(pub.data) })) };
  }
}

export class Peer {
  constructor(format, url, user, options = {}) {
    Object.assign(this, codec(format));
    this.user = user;
    this.events = [];
    this.personal = [];
    this.sockets = [];
    const peer = this;
    // Counts the frames that go out, but for answers to pings, which come when they will.
    this.frames = 0;
    class Socket extends WebSocket {
      send(frame) {
        const isPong = (frame.length ?? frame.byteLength) <= 2;
        peer.frames += isPong ? 0 : 1;
        return super.send(frame);
      }
    }
    this.client = new this.Centrifuge(url, {
      token: token(user), websocket: Socket, minReconnectDelay: 20, maxReconnectDelay: 200, ...options,
    });
    for (const event of ['connecting', 'connected', 'disconnected', 'error', 'subscribed', 'unsubscribed']) {
      this.client.on(event, ctx => this.events.push({ event, ...ctx }));
    }
    this.client.on('publication', ctx => this.personal.push({ ...ctx, data: this.decode(ctx.data) }));
  }

  of(event) {
    return this.events.filter(entry => entry.event === event);
  }

  last(event) {
    return this.of(event).at(-1);
  }

  connect() {
    this.client.connect();
    return this.client.ready(10_000);
  }

  channel(name, options) {
    return new Channel(this, name, options);
  }

  async rpc(method, data = {}) {
    return this.decode((await this.client.rpc(method, this.encode(data))).data);
  }

  close() {
    this.client.disconnect();
  }
}

// Resolves with the error of a promise that must fail.
export const failure = promise => promise.then(value => { throw new Error(`it worked: ${JSON.stringify(value)}`); },
  error => error);
