// Who are you: one click for the users of the development mode, or name and password.

import { useEffect, useState } from 'preact/hooks';
import * as api from './api';
import { name } from './chat';
import { sentence } from './outbox';
import { Avatar, Theme } from './parts';

export function SignIn({ onEnter }: { onEnter: (session: api.Session) => void }) {
  const [about, setAbout] = useState<api.About>();
  const [making, setMaking] = useState(false);
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const last = api.last();

  useEffect(() => { api.about().then(setAbout, () => setError('The server does not answer. Reload to try again.')); }, []);

  async function run(work: () => Promise<api.Session>) {
    setBusy(true);
    setError('');
    try {
      onEnter(await work());
    } catch (error) {
      setError(error instanceof api.ApiError ? sentence(error.message) : 'The server does not answer.');
      setBusy(false);
    }
  }

  function submit(event: SubmitEvent) {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.currentTarget as HTMLFormElement)) as Record<string, string>;
    const login = form['username']!.includes('@') ? { email: form['username'] } : { username: form['username'] };
    void run(() => making ? api.register(form) : api.logIn({ ...login, password: form['password'] }));
  }

  return (
    <main class="signin">
      <header><img src="icon.svg" alt="" width="48" height="48" /><h1>Kervan</h1><Theme /></header>
      <p class="lead">A chat engine. Open this page in two tabs, be two people, and talk.</p>
      {about?.development && (
        <section aria-label="Try it out">
          <h2>Try it out</h2>
          <div class="people">
            {about.development_users.map(user => (
              <button key={user} class="person" disabled={busy} onClick={() => run(() => api.logInAs(user))}>
                <Avatar id={user} label={user} /> <span>Continue as <b>{user[0]!.toUpperCase() + user.slice(1)}</b></span>
              </button>
            ))}
          </div>
        </section>
      )}
      {last && !about?.development_users.includes(last.user.id) && (
        <button class="person" disabled={busy} onClick={() => onEnter(api.resume(last))}>
          <Avatar id={last.user.id} label={name(last.user, last.user.id)} /> <span>Continue as <b>{name(last.user, last.user.id)}</b></span>
        </button>
      )}
      <form onSubmit={submit} aria-label={making ? 'Create an account' : 'Sign in'}>
        <h2>{making ? 'Create an account' : 'Sign in'}</h2>
        {making && <label>Name<input name="first_name" autocomplete="name" maxLength={64} /></label>}
        <label>{making ? 'Username' : 'Username or e-mail'}
          <input name="username" autocomplete="username" required minLength={3} autocapitalize="off" spellcheck={false} /></label>
        <label>Password
          <input name="password" type="password" autocomplete={making ? 'new-password' : 'current-password'} required minLength={8} /></label>
        <p class="error" role="alert">{error}</p>
        <button class="primary" disabled={busy}>{making ? 'Create account' : 'Sign in'}</button>
        {about?.registration && (
          <button type="button" class="link" onClick={() => { setMaking(!making); setError(''); }}>
            {making ? 'I have an account' : 'Create an account'}
          </button>
        )}
      </form>
    </main>
  );
}
