// A new chat: find one person for a direct chat, or several for a group.

import type { RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import * as api from './api';
import { type Chat, name } from './chat';
import { Avatar } from './parts';

export function NewChat({ chat, dialog }: { chat: Chat; dialog: RefObject<HTMLDialogElement | null> }) {
  const [query, setQuery] = useState('');
  const [found, setFound] = useState<api.Person[]>([]);
  const [chosen, setChosen] = useState<api.Person[]>([]);
  const [title, setTitle] = useState('');
  const [error, setError] = useState('');

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
      setError(error.message ?? 'That did not work.');
    }
  }

  const others = found.filter(person => !chosen.some(other => other.id === person.id));
  return (
    <dialog ref={dialog} aria-label="New chat" onClose={close}>
      <form onSubmit={make}>
        <h2>New chat</h2>
        <label>Find people<input type="search" value={query} onInput={event => setQuery(event.currentTarget.value)}
          placeholder="Name or username" autocomplete="off" /></label>
        {chosen.length > 0 && (
          <p class="chosen">{chosen.map(person => (
            <button type="button" key={person.id} onClick={() => setChosen(chosen.filter(other => other !== person))}
              aria-label={`Leave out ${name(person, person.id)}`}>{name(person, person.id)} ×</button>
          ))}</p>
        )}
        <ul class="found" aria-label="Found">
          {others.map(person => (
            <li key={person.id}><button type="button" class="person" onClick={() => { setChosen([...chosen, person]); setQuery(''); }}>
              <Avatar id={person.id} label={name(person, person.id)} />
              <span>{name(person, person.id)} {person.username && <small>@{person.username}</small>}</span>
            </button></li>
          ))}
          {query && !others.length && <li class="empty">Nobody is called so.</li>}
        </ul>
        {chosen.length > 0 && <label>Title {chosen.length === 1 && <small>(makes it a group)</small>}
          <input value={title} maxLength={100} onInput={event => setTitle(event.currentTarget.value)} /></label>}
        <p class="error" role="alert">{error}</p>
        <footer>
          <button type="button" onClick={close}>Cancel</button>
          <button class="primary" disabled={!chosen.length}>{chosen.length > 1 || title ? 'Make group' : 'Start chat'}</button>
        </footer>
      </form>
    </dialog>
  );
}
