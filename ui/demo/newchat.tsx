// A new chat: find one person for a direct chat, or several for a group.

import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import * as api from './api';
import { type Chat, name } from './chat';
import { sentence } from './outbox';
import { Avatar } from './parts';

export function NewChat({ chat, dialog }: { chat: Chat; dialog: RefObject<HTMLDialogElement | null> }) {
  const [query, setQuery] = useState('');
  const [found, setFound] = useState<api.Person[]>([]);
  const [chosen, setChosen] = useState<api.Person[]>([]);
  const [title, setTitle] = useState('');
  const [error, setError] = useState('');
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);

  useEffect(() => {
    if (!query.trim()) return setFound([]);
    let late = false;
    const wait = setTimeout(() => api.find(chat.me.id, query).then(
      users => { if (!late) setFound(users.filter(user => user.id !== chat.me.id)); },
      () => setError('The server does not answer.')), 150);
    return () => { late = true; clearTimeout(wait); };
  }, [query]);

  function close() {
    dialog.current?.close();
    setQuery(''); setChosen([]); setTitle(''); setError('');
  }

  async function make(event: Event) {
    event.preventDefault();
    try {
      if (chosen.length === 1 && !title) await chat.direct(chosen[0]!.id);
      else await chat.group(title || chosen.map(person => name(person, person.id)).join(', '), chosen.map(person => person.id));
      close();
    } catch (error: any) {
      // Below 100 it is the connection's own: it did not come in time, or is gone.
      setError(error.code < 100 ? 'The server does not answer.' : sentence(error.message ?? 'that did not work'));
    }
  }

  // Whoever has a token of a back end has no name here, but an id.
  const id = query.trim();
  const isKnown = (one: string) => one === chat.me.id || [...found, ...chosen].some(person => person.id === one || person.username === one);
  const others = [...found, ...(id && !isKnown(id) ? [{ id }] : [])].filter(person => !chosen.some(other => other.id === person.id));

  function choose(person: api.Person) {
    setChosen([...chosen, person]);
    setQuery('');
    field.current?.focus();
  }

  // Enter takes the first one found; the arrows go through them.
  function keys(event: KeyboardEvent) {
    if (event.key === 'Enter' && query && others[0]) {
      event.preventDefault();
      choose(others[0]);
    }
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    event.preventDefault();
    const buttons = [field.current!, ...list.current!.querySelectorAll('button')];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    buttons[Math.max(0, at + (event.key === 'ArrowDown' ? 1 : -1))]?.focus();
  }
  return (
    <dialog ref={dialog} aria-label="New chat" onClose={close}>
      <form onSubmit={make}>
        <h2>New chat</h2>
        <label>Find people<input ref={field} inputMode="search" value={query} onInput={event => setQuery(event.currentTarget.value)}
          onKeyDown={keys} placeholder="Name, username or id" autocomplete="off" autocapitalize="off" spellcheck={false} /></label>
        {chosen.length > 0 && (
          <p class="chosen">{chosen.map(person => (
            <button type="button" key={person.id} onClick={() => setChosen(chosen.filter(other => other !== person))}
              aria-label={`Leave out ${name(person, person.id)}`}>{name(person, person.id)} ×</button>
          ))}</p>
        )}
        <ul class="found" aria-label="Found" ref={list} onKeyDown={event => { if (event.key !== 'Enter') keys(event); }}>
          {others.map(person => (
            <li key={person.id}><button type="button" class="person" onClick={() => choose(person)}>
              <Avatar id={person.id} label={name(person, person.id)} />
              <span dir="auto">{name(person, person.id)} <small>{person.username ? `@${person.username}` : !person.first_name && 'by this id'}</small></span>
            </button></li>
          ))}
          {query && !others.length && <li class="empty">No one else found.</li>}
        </ul>
        {chosen.length > 0 && <label>Title {chosen.length === 1 && <small>(makes it a group)</small>}
          <input value={title} maxLength={100} onInput={event => setTitle(event.currentTarget.value)} /></label>}
        <p class="error" role="alert">{error}</p>
        <footer>
          <button type="button" onClick={close}>Cancel</button>
          <button class="primary" disabled={!chosen.length}>{chosen.length > 1 || title ? 'Create group' : 'Start chat'}</button>
        </footer>
      </form>
    </dialog>
  );
}
