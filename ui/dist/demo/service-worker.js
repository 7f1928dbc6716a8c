// Shows what the server pushes while the page is closed, and leads to it. It answers no request and keeps nothing: without the
// server the page is as gone as it was without a worker.

addEventListener('push', event => event.waitUntil(show(event.data)));

async function show(data) {
  let said = {};
  try {
    said = data?.json() ?? {};
  } catch {
    // Something must be shown for each push, or the browser says so in its own words.
  }
  const room = said.data?.room ?? '';
  await registration.showNotification(said.title ?? 'New message', {
    body: said.body ?? '', tag: `kervan.push.${room}`, icon: 'icon.svg', data: { room },
  });
}

addEventListener('notificationclick', event => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.room ?? ''));
});

// A page that is open is shown; the room is opened in it by its address, as Back and Forward do.
async function open(room) {
  const pages = await clients.matchAll({ type: 'window', includeUncontrolled: true });
  const page = pages.find(page => new URL(page.url).pathname === new URL(registration.scope).pathname);
  if (!page) return clients.openWindow(`./#${room}`);
  await page.focus();
  page.postMessage({ open: room });
}
