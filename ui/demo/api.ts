// Signing in over REST, and tokens that are kept and refreshed. The chat itself goes over the socket (chat.ts).
//
// A tab is one user (sessionStorage), so that two tabs can be two people; the tokens of a user are shared by all tabs of
// theirs (localStorage), because each refresh token counts once.

export interface Person { id: string; username?: string; first_name?: string; last_name?: string; avatar_url?: string }
export interface Session { user: Person; access_token: string; refresh_token: string; expires_at: number }
export interface About { version: string; development: boolean; registration: boolean; development_users: string[];
  web_push_key?: string }

export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string) { super(message); }
}

const USER = 'kervan.user';
const LAST = 'kervan.last';
const key = (user: string) => `kervan.session.${user}`;

async function request<T>(method: string, path: string, body?: unknown, token?: string): Promise<T> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (token) headers['authorization'] = `Bearer ${token}`;
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 204) return undefined as T;
  // One that is cut off is no answer; only an error may come without words.
  const json = await (answer.ok ? answer.json() : answer.json().catch(() => ({})));
  if (!answer.ok) throw new ApiError(answer.status, json.error?.code ?? 'unknown', json.error?.message ?? answer.statusText);
  return json;
}

export const about = () => request<About>('GET', '/api/config');

function keep(given: Omit<Session, 'expires_at'> & { expires_in: number }): Session {
  const session = { user: given.user, access_token: given.access_token, refresh_token: given.refresh_token,
    expires_at: Date.now() + given.expires_in * 1000 };
  localStorage.setItem(key(session.user.id), JSON.stringify(session));
  return session;
}

function kept(user: string): Session | undefined {
  const text = localStorage.getItem(key(user));
  return text ? JSON.parse(text) : undefined;
}

function enter(session: Session): Session {
  sessionStorage.setItem(USER, session.user.id);
  localStorage.setItem(LAST, session.user.id);
  return session;
}

// Who this tab is.
export function current(): Session | undefined {
  const user = sessionStorage.getItem(USER);
  return user ? kept(user) : undefined;
}

// Who signed in last in this browser.
export function last(): Session | undefined {
  const user = localStorage.getItem(LAST);
  return user ? kept(user) : undefined;
}

export const resume = (session: Session) => enter(session);
export const register = async (form: object) => enter(keep(await request('POST', '/api/auth/register', form)));
export const logIn = async (form: object) => enter(keep(await request('POST', '/api/auth/login', form)));
export const logInAs = async (user: string) => enter(keep(await request('POST', '/api/auth/development', { user })));

// A good access token. Throws an ApiError 401 if the sign-in is over.
export async function token(user: string): Promise<string> {
  const fresh = (session?: Session) => session && session.expires_at - Date.now() > 60_000;
  const now = kept(user);
  if (fresh(now)) return now!.access_token;
  return navigator.locks.request(`kervan.refresh.${user}`, async () => {
    const session = kept(user);
    if (!session) throw new ApiError(401, 'signed_out', 'signed out');
    if (fresh(session)) return session.access_token;
    try {
      return keep(await request('POST', '/api/auth/refresh', { refresh_token: session.refresh_token })).access_token;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) localStorage.removeItem(key(user));
      throw error;
    }
  });
}

// `device` is what this browser is known by, if it is pushed to.
export async function logOut(user: string, device?: string): Promise<void> {
  try {
    await request('POST', '/api/auth/logout', { device }, await token(user));
  } finally {
    localStorage.removeItem(key(user));
    sessionStorage.removeItem(USER);
  }
}

export const find = async (user: string, q: string) =>
  (await request<{ users: Person[] }>('GET', `/api/users?q=${encodeURIComponent(q)}`, undefined, await token(user))).users;
export const people = async (user: string, ids: string[]) =>
  (await request<{ users: Person[] }>('GET', `/api/users?ids=${ids.map(encodeURIComponent).join(',')}`, undefined, await token(user))).users;
export const knowDevice = async (user: string, device: string, push_token: string) =>
  request('PUT', `/api/users/me/devices/${encodeURIComponent(device)}`, { platform: 'web', push_token }, await token(user));
