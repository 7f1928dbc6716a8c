// Warnings, and the tail of the log.

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { type Line, type Warning, ask, locked } from './api';
import { Empty, clock } from './parts';

const LINES = 500;

export function Log({ warnings }: { warnings: Warning[] }) {
  const [level, setLevel] = useState('info');
  const [text, setText] = useState('');
  const [following, setFollowing] = useState(true);
  const [lines, setLines] = useState<Line[]>([]);
  const [error, setError] = useState('');
  const box = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!following) return undefined;
    let after: number | undefined;
    let over = false;
    let under = false;
    setLines([]);
    const look = async () => {
      if (under || document.hidden || locked.value !== undefined) return;
      under = true;
      try {
        const more = after === undefined ? '' : `&after=${after}`;
        const page = await ask<{ items: Line[]; next: number }>(`log?level=${level}&text=${encodeURIComponent(text)}&limit=200${more}`);
        if (over) return;
        after = page.next;
        setError('');
        if (page.items.length) setLines(before => [...before, ...page.items].slice(-LINES));
      } catch (failed: any) {
        if (!over) setError(failed.status ? failed.message : 'The server does not answer.');
      } finally {
        under = false;
      }
    };
    void look();
    const timer = setInterval(() => void look(), 1_000);
    return () => { over = true; clearInterval(timer); };
  }, [level, text, following, locked.value]);
  useLayoutEffect(() => { if (following && box.current) box.current.scrollTop = box.current.scrollHeight; }, [lines]);

  return (
    <div class="logs">
      <section aria-label="Warnings">
        <h2>Warnings</h2>
        {warnings.length === 0 ? <Empty>Nothing deserves a look.</Empty> : (
          <ul class="warnings">{warnings.map(one => (
            <li key={one.code + one.about} class={one.severity}><strong>{one.code.replaceAll('_', ' ')}</strong> <span class="path">{one.about}</span> {one.message}</li>
          ))}</ul>
        )}
      </section>
      <section aria-label="Log">
        <form class="bar" onSubmit={event => event.preventDefault()}>
          <h2>Log</h2>
          <select aria-label="Level" value={level} onChange={event => setLevel(event.currentTarget.value)}>
            {['error', 'warn', 'info', 'debug', 'trace'].map(level => <option key={level} value={level}>{level} and above</option>)}
          </select>
          <input type="search" aria-label="Text in the log" placeholder="Text" value={text} onInput={event => setText(event.currentTarget.value)} />
          <button type="button" aria-pressed={!following} onClick={() => setFollowing(!following)}>{following ? 'Pause' : 'Follow'}</button>
        </form>
        <p class="quiet">Shown is what the server logs: connections and refused requests from <code>RUST_LOG=kervan=debug</code> on.</p>
        {error && <p class="error" role="alert">{error}</p>}
        <div class="tail" ref={box} tabIndex={0} role="log" aria-label="Log lines">
          {lines.map(line => (
            <p key={line.seq}><time>{clock(line.at)}</time> <span class={`level ${line.level}`}>{line.level}</span> <span class="quiet">{line.target}</span> {line.message}
              {Object.entries(line.fields).map(([key, value]) => <span class="field" key={key}> {key}={String(value)}</span>)}</p>
          ))}
        </div>
      </section>
    </div>
  );
}
