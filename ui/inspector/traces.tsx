// The way of a message, as a waterfall: where its time went between the socket and those who read it.

import { useEffect, useState } from 'preact/hooks';
import { type Page, type Trace, ask, useAsked } from './api';
import { Empty, clock } from './parts';

const WIDE = 360;

export function Traces({ room: chosen }: { room: string }) {
  const [room, setRoom] = useState(chosen);
  useEffect(() => setRoom(chosen), [chosen]);
  const asked = useAsked<Page<Trace> & { every: number }>(`traces?limit=50${/^[0-9a-f-]{36}$/.test(room) ? `&room=${room}` : ''}`);
  const [said, setSaid] = useState('');
  const items = asked.value?.items ?? [];
  async function follow(event: Event) {
    event.preventDefault();
    try {
      await ask('traces', 'POST', { room, messages: 20 });
      setSaid('The next 20 commands of this room are followed.');
    } catch (error: any) {
      setSaid(error.message);
    }
  }
  const most = Math.max(1, ...items.map(item => item.spans.at(-1)?.us ?? 0));
  return (
    <section aria-label="Traces">
      <form class="bar" onSubmit={follow}>
        <input type="search" placeholder="A room’s id" aria-label="Room" value={room} onInput={event => setRoom(event.currentTarget.value.trim())} />
        <button disabled={!/^[0-9a-f-]{36}$/.test(room)}>Follow the next 20</button>
        <span class="quiet" role="status">{said || (asked.value ? (asked.value.every ? `One command in ${asked.value.every} is followed by itself.` : 'None is followed by itself.') : '')}</span>
      </form>
      {asked.error && <p class="error" role="alert">{asked.error}</p>}
      {asked.value && items.length === 0 && <Empty>None yet. Name a room and follow its next messages.</Empty>}
      <ul class="traces">
        {items.map(item => (
          <li key={item.id}>
            <header><strong>{item.kind}</strong> <span class={`state ${item.outcome === 'accepted' ? 'running' : ''}`}>{item.outcome ?? 'did not get through'}</span>
              <span class="quiet">{clock(item.at)}, partition {item.partition}, offset {item.offset ?? '–'}, seq {item.seq ?? '–'}</span></header>
            <svg width={WIDE + 210} height={item.spans.length * 16} viewBox={`0 0 ${WIDE + 210} ${item.spans.length * 16}`} role="img" aria-label={item.spans.map(span => `${span.name} after ${span.us} µs`).join(', ')}>
              {item.spans.map((span, index) => {
                const from = (item.spans[index - 1]?.us ?? 0) / most * WIDE;
                return (
                  <g key={span.name}>
                    <text x="0" y={index * 16 + 12}>{span.name}</text>
                    <rect x={110 + from} y={index * 16 + 3} width={Math.max(1.5, span.us / most * WIDE - from)} height="10" rx="2" />
                    <text x={116 + span.us / most * WIDE + 2} y={index * 16 + 12} class="us">{span.us} µs</text>
                  </g>
                );
              })}
            </svg>
          </li>
        ))}
      </ul>
    </section>
  );
}
