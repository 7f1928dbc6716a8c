// The 16,384 slots as a map of 128 × 128, coloured by what their partitions do; and the partitions as a table.

import { useEffect, useRef, useState } from 'preact/hooks';
import { type Page, type Partition, useAsked } from './api';
import { Empty, count } from './parts';

const SIDE = 128;
const CELL = 4;
const MEASURES = { rate: 'messages a second', lag: 'records that the store lacks', depth: 'waiting messages', residents: 'resident rooms and users' } as const;
type Measure = keyof typeof MEASURES;

export function Partitions() {
  const asked = useAsked<Page<Partition>>('partitions');
  const [measure, setMeasure] = useState<Measure>('residents');
  const [slot, setSlot] = useState(0);
  const canvas = useRef<HTMLCanvasElement>(null);
  const items = asked.value?.items ?? [];
  const most = Math.max(1, ...items.map(item => item[measure]));

  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context || items.length === 0) return;
    // The colours of the page: read anew, because light may have become dark.
    const style = getComputedStyle(document.documentElement);
    const [cold, hot, bad] = ['--cold', '--accent', '--bad'].map(name => style.getPropertyValue(name));
    for (const item of items) {
      for (let at = item.slots[0]; at <= item.slots[1]; at++) {
        const [x, y] = [(at % SIDE) * CELL, Math.floor(at / SIDE) * CELL];
        context.globalAlpha = 1;
        context.fillStyle = cold!;
        context.fillRect(x, y, CELL, CELL);
        // Halted is not "nothing to do".
        context.globalAlpha = item.halted ? 1 : Math.sqrt(item[measure] / most);
        context.fillStyle = item.halted ? bad! : hot!;
        context.fillRect(x, y, CELL, CELL);
      }
    }
    context.globalAlpha = 1;
    context.strokeStyle = style.getPropertyValue('--text');
    context.strokeRect((slot % SIDE) * CELL + .5, Math.floor(slot / SIDE) * CELL + .5, CELL, CELL);
  });

  const of = items.find(item => item.slots[0] <= slot && slot <= item.slots[1]);
  function move(event: KeyboardEvent) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -SIDE, ArrowDown: SIDE }[event.key];
    if (!step) return;
    event.preventDefault();
    setSlot(Math.min(SIDE * SIDE - 1, Math.max(0, slot + step)));
  }
  function point(event: PointerEvent) {
    const box = canvas.current!.getBoundingClientRect();
    const at = (from: number, to: number, size: number) => Math.min(SIDE - 1, Math.max(0, Math.floor((from - to) / size * SIDE)));
    setSlot(at(event.clientY, box.top, box.height) * SIDE + at(event.clientX, box.left, box.width));
  }
  const busy = [...items].sort((one, other) => Number(!!other.halted) - Number(!!one.halted) || other[measure] - one[measure] || one.partition - other.partition);

  if (!asked.value) return <Empty>{asked.error ?? 'Asking…'}</Empty>;
  return (
    <div class="map">
      <section aria-label="Slots">
        <form class="bar"><label>Coloured by <select value={measure} onChange={event => setMeasure(event.currentTarget.value as Measure)}>
          {Object.entries(MEASURES).map(([key, words]) => <option key={key} value={key}>{words}</option>)}
        </select></label><span class="quiet">at most {count(most)}</span></form>
        <canvas ref={canvas} width={SIDE * CELL} height={SIDE * CELL} tabIndex={0} role="img" onKeyDown={move} onPointerMove={point}
          aria-label="16,384 slots, 128 in a row; arrow keys move between them" />
        <output aria-live="polite">
          {of && `slot ${slot}: partition ${of.partition} of ${of.owner} (epoch ${of.epoch}), ${of.state}${of.halted ? `, halted: ${of.halted}` : ''}. Head ${of.head}, verified ${of.verified}, applied ${of.applied}, in the store ${of.watermark}, lag ${of.lag}; ${of.residents} resident, ${count(of.rate)} a second`}
        </output>
      </section>
      <section class="scroll" aria-label="Partitions" tabIndex={0}>
        <table>
          <thead><tr><th class="num">partition</th><th>state</th><th class="num">head</th><th class="num">applied</th><th class="num">stored</th><th class="num">lag</th><th class="num">queue</th><th class="num">rate/s</th><th class="num">in memory</th></tr></thead>
          <tbody>{busy.map(item => (
            <tr key={item.partition} onClick={() => setSlot(item.slots[0])}>
              <td class="num">{item.partition}</td><td><span class={`state ${item.state}`}>{item.halted ?? item.state}</span></td>
              <td class="num">{count(item.head)}</td><td class="num">{count(item.applied)}</td><td class="num">{count(item.watermark)}</td>
              <td class={`num ${item.lag > 1_000 ? 'bad' : ''}`}>{count(item.lag)}</td><td class="num">{count(item.depth)}</td>
              <td class="num">{count(item.rate)}</td><td class="num">{count(item.residents)}</td>
            </tr>
          ))}</tbody>
        </table>
      </section>
    </div>
  );
}
