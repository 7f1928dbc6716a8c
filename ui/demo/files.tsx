// Files: taken by button, paste or drop, sent with their progress shown, and shown to those who may see them. Their bytes take
// a token, so a picture is fetched and shown from memory.

import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from './api';
import type { Chat } from './chat';
import { Clip } from './parts';

export interface Upload {
  id: string; name: string; type: string; size: number; width?: number; height?: number; url: string; thumbnail_url?: string;
}

// What a message says of the file that it brings, if it brings one.
export function uploadOf(metadata: unknown): Upload | undefined {
  const upload = (metadata as { upload?: Partial<Upload> } | undefined)?.upload;
  // Others wrote it: only addresses of uploads are asked for, with our token.
  const ours = (url: unknown) => typeof url === 'string' && /^\/api\/uploads\/[0-9a-f-]{36}(\/thumbnail)?$/.test(url);
  if (!upload || !ours(upload.url) || typeof upload.name !== 'string') return undefined;
  return { ...upload, thumbnail_url: ours(upload.thumbnail_url) ? upload.thumbnail_url : undefined } as Upload;
}

// What may be shown as a picture. The type is the one that the server gave to the bytes, never the one that a message claims: a
// page shown from memory would be of this origin.
const PICTURES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];

export function isPicture(blob: Blob): boolean {
  return PICTURES.includes(blob.type.split(';')[0]!.trim().toLowerCase());
}

export function size(bytes: number): string {
  if (!(bytes >= 0)) return '';
  const units = ['B', 'KB', 'MB', 'GB'];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit++) bytes /= 1000;
  return `${bytes.toFixed(bytes < 10 && unit ? 1 : 0)} ${units[unit]}`;
}

// Sends a file; `progress` hears of its part that is gone, from 0 to 1.
export function upload(chat: string, file: File, token: string, progress: (part: number) => void): Promise<Upload> {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    // The chat first: then the server knows whether it is to read the file.
    form.append('chat', chat);
    form.append('file', file, file.name || 'picture.png');
    const request = new XMLHttpRequest();
    request.open('POST', '/api/uploads');
    request.setRequestHeader('authorization', `Bearer ${token}`);
    request.responseType = 'json';
    request.upload.onprogress = event => progress(event.loaded / (event.total || 1));
    request.onerror = () => reject(new ApiError(0, 'offline', 'The file could not be sent: no connection.'));
    request.onload = () => {
      const { error } = request.response ?? {};
      if (request.status === 201) resolve(request.response);
      else reject(new ApiError(request.status, error?.code ?? 'unknown', error?.message ?? 'The file could not be sent.'));
    };
    request.send(form);
  });
}

export function Attach({ chat, room }: { chat: Chat; room: string }) {
  const field = useRef<HTMLInputElement>(null);
  const going = chat.uploading.value.filter(one => one.room === room);

  useEffect(() => {
    const take = (files: FileList | undefined, event: Event) => {
      if (!files?.length) return;
      event.preventDefault();
      for (const file of files) void chat.attach(room, file);
    };
    const paste = (event: ClipboardEvent) => take(event.clipboardData?.files, event);
    const drop = (event: DragEvent) => take(event.dataTransfer?.files, event);
    const over = (event: DragEvent) => { if (event.dataTransfer?.types.includes('Files')) event.preventDefault(); };
    document.addEventListener('paste', paste);
    document.addEventListener('drop', drop);
    document.addEventListener('dragover', over);
    return () => {
      document.removeEventListener('paste', paste);
      document.removeEventListener('drop', drop);
      document.removeEventListener('dragover', over);
    };
  }, [room]);

  return (
    <>
      {going.length > 0 && (
        <ul class="uploading" aria-label="Files on their way">
          {going.map(one => (
            <li key={one.key}>
              <span class="title">{one.name}</span>
              {one.failed
                ? <><span class="error" role="alert">{one.failed}</span>
                    <button type="button" class="link" onClick={() => void chat.attach(one.room, one.file, one.key)}>Try again</button>
                    <button type="button" class="link" onClick={() => chat.forget(one.key)}>Discard</button></>
                : <progress value={one.part} aria-label={`Sending ${one.name}`} />}
            </li>
          ))}
        </ul>
      )}
      <input ref={field} type="file" multiple hidden aria-label="Files to send" onChange={event => {
        for (const file of event.currentTarget.files ?? []) void chat.attach(room, file);
        event.currentTarget.value = '';
      }} />
      <button type="button" class="icon" aria-label="Send a file" title="Send a file" onClick={() => field.current?.click()}><Clip /></button>
    </>
  );
}

export function Attachment({ chat, upload }: { chat: Chat; upload: Upload }) {
  const [shown, setShown] = useState<string>();
  const [error, setError] = useState('');

  useEffect(() => {
    if (!upload.thumbnail_url) return undefined;
    let url = '';
    let gone = false;
    chat.file(upload.thumbnail_url).then(blob => {
      if (gone) return;
      if (!isPicture(blob)) {
        setError('This is no picture.');
        return;
      }
      url = URL.createObjectURL(blob);
      setShown(url);
    }, () => { if (!gone) setError('The picture can’t be shown now.'); });
    return () => { gone = true; URL.revokeObjectURL(url); };
  }, [upload.thumbnail_url]);

  async function open() {
    try {
      const blob = await chat.file(upload.url);
      const url = URL.createObjectURL(blob);
      const link = document.createElement('a');
      link.href = url;
      // Pictures that the server could read are shown; everything else is saved.
      if (isPicture(blob)) link.target = '_blank';
      else link.download = upload.name;
      link.rel = 'noopener';
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch {
      setError('The file can’t be fetched now.');
    }
  }

  // Room for the picture before it is there, so that nothing jumps.
  const wide = Math.min(320, upload.width ?? 320);
  const high = Math.round(wide * (upload.height ?? 1) / (upload.width ?? 1));
  return (
    <>
      {upload.thumbnail_url ? (
        <button class="picture" onClick={() => void open()} aria-label={`Open ${upload.name}`}>
          {shown ? <img src={shown} alt={upload.name} width={wide} height={high} /> : <svg width={wide} height={high} aria-hidden="true" />}
        </button>
      ) : (
        <button class="file" onClick={() => void open()}><Clip /><span class="words"><strong>{upload.name}</strong><small>{size(upload.size)}</small></span></button>
      )}
      {error && <p class="error" role="alert">{error}</p>}
    </>
  );
}
