// The API's documents, to be read: REST (OpenAPI) and the socket (AsyncAPI), as this very server describes itself.

import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { Text, curl, sample } from './text';

type Json = any;

// What a reference of the document leads to.
function follow(document: Json, value: Json): Json {
  if (!value?.$ref) return value;
  return follow(document, value.$ref.slice(2).split('/').reduce((at: Json, key: string) => at?.[key], document));
}

const named = (value: Json) => value?.$ref?.split('/').at(-1);

function typeOf(document: Json, schema: Json): string {
  if (!schema) return '';
  if (schema.$ref) return named(schema);
  const any = schema.oneOf ?? schema.anyOf;
  if (any) return any.map((one: Json) => typeOf(document, one)).filter(Boolean).join(' or ');
  const type = [schema.type ?? 'any'].flat().filter(one => one !== 'null').join(' or ');
  if (type === 'array') return `list of ${typeOf(document, schema.items)}`;
  return schema.enum ? schema.enum.join(', ') : schema.format ? `${type} (${schema.format})` : type;
}

// What a value may be, in a few words.
function bounds(schema: Json) {
  const words = [];
  if (schema?.minimum !== undefined && schema.minimum > 0) words.push(`at least ${schema.minimum}`);
  if (schema?.maximum !== undefined) words.push(`at most ${schema.maximum}`);
  if (schema?.maxLength !== undefined) words.push(`at most ${schema.maxLength} long`);
  if (schema?.default !== undefined && schema.default !== null && schema.default !== '') words.push(`${JSON.stringify(schema.default)} unless said`);
  return words.length ? <span class="quiet"> {words.join(', ')}</span> : null;
}

function Fields({ document, schema, seen = [] }: { document: Json; schema: Json; seen?: string[] }) {
  const name = named(schema);
  const known = follow(document, schema);
  if (!known || (name && seen.includes(name))) return null;
  const parts = [known, ...(known.allOf ?? []).map((one: Json) => follow(document, one))];
  const fields = parts.flatMap(part => Object.entries<Json>(part?.properties ?? {}).map(([key, field]) => ({ key, field, needed: part.required?.includes(key) })));
  if (fields.length === 0) return <p class="quiet">{typeOf(document, known)} <Text of={known.description} /></p>;
  return (
    <table>
      <tbody>{fields.map(({ key, field, needed }) => {
        const inner = field.type === 'array' ? field.items : field;
        return (
          <tr key={key}><th scope="row"><code>{key}</code>{needed && <span class="needed" title="needed">*</span>}</th><td>{typeOf(document, field)}</td>
            <td><Text of={field.description ?? follow(document, inner)?.description ?? follow(document, field)?.description} />{bounds(follow(document, field))}
              {named(inner) && follow(document, inner)?.properties && <details><summary>{named(inner)}</summary><Fields document={document} schema={inner} seen={[...seen, name]} /></details>}</td></tr>
        );
      })}</tbody>
    </table>
  );
}

const takes = (operation: Json) => {
  const keys = operation.security?.flatMap(Object.keys) ?? [];
  return keys.includes('api_key') ? 'takes the key of a back end in X-API-Key' : keys.length ? 'takes a bearer token' : 'takes no token';
};

const fits = (wanted: string, ...texts: (string | undefined)[]) =>
  wanted.toLowerCase().split(/\s+/).every(word => texts.some(text => text?.toLowerCase().includes(word)));

function Rest({ document, wanted }: { document: Json; wanted: string }) {
  const to = (value: Json) => follow(document, value);
  const groups = new Map<string, { method: string; path: string; operation: Json }[]>();
  for (const [path, item] of Object.entries<Json>(document.paths)) {
    for (const [method, operation] of Object.entries<Json>(item)) {
      if (!fits(wanted, method, path, operation.summary, operation.operationId)) continue;
      const tag = operation.tags?.[0] ?? 'other';
      groups.set(tag, [...groups.get(tag) ?? [], { method, path, operation }]);
    }
  }
  return (
    <>{[...groups].map(([tag, all]) => (
      <section key={tag} id={tag}><h2>{tag}</h2>{all.map(({ method, path, operation }) => {
        const [type, body] = Object.entries<Json>(operation.requestBody?.content ?? {})[0] ?? [];
        return (
          <details key={method + path} class="operation">
            <summary><b class={method}>{method.toUpperCase()}</b> <code>{path}</code> <span>{operation.summary}</span></summary>
            {operation.description && <p><Text of={operation.description} /></p>}
            <p class="quiet">{takes(operation)}</p>
            {operation.parameters?.length > 0 && <><h3>Parameters</h3><table><tbody>{operation.parameters.map((one: Json) => (
              <tr key={one.name}><th scope="row"><code>{one.name}</code>{one.required && <span class="needed" title="needed">*</span>}</th><td>{typeOf(document, one.schema)}</td><td><Text of={one.description ?? to(one.schema)?.description} />{bounds(to(one.schema))}</td></tr>
            ))}</tbody></table></>}
            {body && <><h3>Body <span class="quiet">{type}</span></h3><Fields document={document} schema={body.schema} /></>}
            <h3>Example</h3><pre><code>{curl(method, path, operation, to)}</code></pre>
            <h3>Answers</h3>
            {Object.entries<Json>(operation.responses).map(([status, answer]) => {
              const schema = Object.values<Json>(answer.content ?? {})[0]?.schema;
              return status < '300'
                ? <div key={status}><p><b>{status}</b> <Text of={answer.description} /></p>{schema && <Fields document={document} schema={schema} />}</div>
                : <p key={status}><b>{status}</b> <Text of={answer.description} /></p>;
            })}
          </details>
        );
      })}</section>
    ))}</>
  );
}

// The command as it stands in a frame.
const rpc = (document: Json, method: string, schema: Json) =>
  JSON.stringify({ id: 2, rpc: { method, data: sample(schema, value => follow(document, value)) } });

function Socket({ document, wanted }: { document: Json; wanted: string }) {
  const messages = document.channels.socket.messages;
  return (
    <section id="socket"><h2>socket</h2><p><Text of={document.info.description} /></p>
      {Object.entries<Json>(document.operations).filter(([name, one]) => fits(wanted, name, one.summary)).map(([name, operation]) => (
        <details key={name} class="operation">
          <summary><b class={operation.reply ? 'post' : 'get'}>{operation.reply ? 'RPC' : 'PUSH'}</b> <code>{name}</code> <span>{operation.summary}</span></summary>
          {operation.reply && <><h3>Example</h3><pre><code>{rpc(document, name, messages[name]?.payload)}</code></pre></>}
          <h3>{operation.reply ? 'Takes' : 'Says'}</h3><Fields document={document} schema={messages[name]?.payload} />
          {operation.reply && <><h3>Gives</h3><Fields document={document} schema={messages[`${name}.reply`]?.payload} /></>}
        </details>
      ))}
    </section>
  );
}

function Documents() {
  const [all, setAll] = useState<{ rest: Json; socket: Json }>();
  const [error, setError] = useState('');
  const [wanted, setWanted] = useState('');
  useEffect(() => {
    const read = (path: string) => fetch(path).then(answer => answer.json());
    Promise.all([read('/api/openapi.json'), read('/api/asyncapi.json')])
      .then(([rest, socket]) => setAll({ rest, socket }), () => setError('The server does not answer.'));
  }, []);
  const tags = all ? [...new Set(Object.values<Json>(all.rest.paths).flatMap(item => Object.values<Json>(item).map(one => one.tags?.[0])))] : [];
  return (
    <>
      <header><h1>Kervan’s API</h1><p class="quiet">{all?.rest.info.version} · <a href="/api/openapi.json">OpenAPI</a> · <a href="/api/asyncapi.json">AsyncAPI</a></p>
        <input type="search" aria-label="Search" placeholder="Search" value={wanted} onInput={event => setWanted(event.currentTarget.value)} />
        <nav aria-label="Parts">{[...tags, 'socket'].map(tag => <a key={tag} href={`#${tag}`}>{tag}</a>)}</nav></header>
      <main>{error && <p role="alert">{error}</p>}{all && <><p><Text of={all.rest.info.description} /></p><Rest document={all.rest} wanted={wanted} /><Socket document={all.socket} wanted={wanted} /></>}</main>
    </>
  );
}

render(<Documents />, document.getElementById('root')!);
