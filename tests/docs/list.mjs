// What becomes of each code block of the pages. By its language (`LANGUAGES`), unless it is listed by its page and the text
// that it begins with (`PAGES`): `run` names the way in docs.test.mjs, `not` says why a block is not run. Shell, JavaScript and
// Python must be listed. A block that is neither fails the test, and so does an entry without its block.

const DEVELOPMENT = 'cargo run --release';

export const LANGUAGES = {
  json: { run: 'json' },
  jsonl: { run: 'frames' },
  toml: { run: 'config' },
  nginx: { run: 'nginx' },
  ini: { run: 'unit' },
  caddyfile: { not: 'Debian has no Caddy of the version that the page is for' },
  sql: { not: 'the tests of the store run these on PostgreSQL, and look at their plans' },
  haproxy: { not: 'one more proxy to install; its options are those of its manual' },
  '': { not: 'a drawing or an excerpt' },
};

// `refused`: what is printed for a secret is nobody's, so it is too short to be taken; the error must say so.
// `server`: lines that start the server that a block speaks to; the one before goes on without. `says`: what it must write.
export const PAGES = {
  'README.md': [
    { starts: 'cargo run --release', run: 'serve' },
    { starts: 'make test', not: 'it is what runs this' },
    { starts: 'import { Centrifuge }', run: 'save', as: 'chat.mjs' },
    { starts: 'npm install --no-save', run: 'shell', says: /acknowledged as seq \d+/ },
    { starts: 'make cluster', not: 'devcluster/tests/program.rs runs the program, and looks at all that it starts' },
    { starts: 'kervan config show --origin', run: 'shell', says: /# default/ },
  ],
  'docs/quickstart.md': [
    { starts: 'KERVAN=http://127.0.0.1:3000', run: 'shell', server: DEVELOPMENT, says: /"seq":\d+/ },
    { starts: 'export JWT_SECRET=', run: 'serve', says: /, production/ },
    { starts: 'export KERVAN_API__KEY=', run: 'serve' },
    { starts: 'curl -s http://127.0.0.1:3000/api/publish', run: 'shell', says: /"result":\{"offset":1/ },
  ],
  'docs/rest.md': [
    { starts: 'URL=http://127.0.0.1:3000', run: 'shell', server: DEVELOPMENT, says: /"body":"hello"/ },
    { starts: 'curl http://127.0.0.1:3000/api/uploads', run: 'shell', camel: true, says: /"name":"camel.jpg"/ },
  ],
  'docs/protocol.md': [
    { starts: '{"id":1,"connect"', run: 'frames', server: DEVELOPMENT },
    { starts: "import { Centrifuge } from 'centrifuge';\nimport WebSocket", run: 'node', says: /Hello/ },
    { starts: 'import asyncio', run: 'python', says: /Hello/ },
    { starts: "import { Centrifuge } from 'centrifuge';\n\nconst client", run: 'syntax' },
  ],
  'docs/server-api.md': [
    { starts: '[api]', run: 'refused', says: /api\.key: expected at least 32 bytes/ },
    {
      starts: 'curl -s http://127.0.0.1:3000/api/publish', run: 'shell', says: /"result":\{"offset":1/,
      server: 'export KEY=0123456789abcdef0123456789abcdef\nKERVAN_API__KEY=$KEY cargo run --release',
    },
  ],
  'docs/operations.md': [
    { starts: 'useradd --system', not: 'makes a user and folders of the machine' },
    {
      starts: 'kervan backup --config /etc/kervan/cluster.toml', run: 'shell', says: /^backup of .* records/,
      server: 'JWT_SECRET=0123456789abcdef0123456789abcdef kervan serve --config /etc/kervan/cluster.toml',
    },
  ],
  'docs/cluster.md': [
    { starts: 'make cluster', not: 'devcluster/tests/program.rs runs the program, and looks at all that it starts' },
    { starts: 'make faults', not: 'the tests run its short form, scripts/faults short' },
    { starts: 'export DATABASE_URL=', not: 'takes a cluster that runs: the tests of the journal in Kafka ask the same of brokers that they start' },
    { starts: 'psql', not: 'takes a cluster that runs: devcluster/tests/program.rs asks in the same way' },
    { starts: 'rm -r target/kafka', not: 'fetches another Kafka, and replaces the committed sums' },
  ],
  'docs/deployment.md': [
    { starts: 'docker compose up', not: 'there is no Docker where the tests run: tests/deploy looks at the files' },
    { starts: 'cd deploy', not: 'the same' },
    { starts: 'docker compose -f docker-compose.prod.yml up', not: 'the same' },
  ],
  'docs/graduate.md': [
    { starts: 'kervan graduate --data-dir /var/lib/kervan --to', not: 'takes brokers and a database: tests/graduate moves a folder' },
    { starts: 'kervan graduate --data-dir /var/lib/kervan --back', not: 'the same' },
  ],
  'docs/admin.md': [
    { starts: 'kervan actors tree', run: 'shell', server: DEVELOPMENT, says: /├─ hub/ },
    { starts: 'ssh -N', not: 'takes another machine' },
  ],
  'docs/security.md': [
    { starts: '[[keys]]', run: 'refusedKeys', says: /a secret needs at least 32 bytes/ },
  ],
  'docs/migration-socketio.md': [
    { starts: '// socket.io', not: 'what there was before: an excerpt of the application' },
    { starts: '// Kervan:', run: 'syntax' },
  ],
  'examples/README.md': [
    { starts: 'npm install', not: 'run by tests/examples, in that folder' },
  ],
};
