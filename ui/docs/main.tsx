// The API's documents, to be read: REST (OpenAPI) and the socket (AsyncAPI), as this very server describes itself.

import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';

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

function Fields({ document, schema, seen = [] }: { document: Json; schema: Json; seen?: string[] }) {
  const name = named(schema);
  const known = follow(document, schema);
  if (!known || (name && seen.includes(name))) return null;
  const parts = [known, ...(known.allOf ?? []).map((one: Json) => follow(document, one))];
  const fields = parts.flatMap(part => Object.entries<Json>(part?.properties ?? {}).map(([key, field]) => ({ key, field, needed: part.required?.includes(key) })));
  if (fields.length === 0) return <p class="quiet">{typeOf(document, known)}</p>;
  return (
    <table>
      <tbody>{fields.map(({ key, field, needed }) => {
        const inner = field.type === 'array' ? field.items : field;
        return (
          <tr key={key}><th scope="row"><code>{key}</code>{needed && <span class="needed" title="needed">*</span>}</th><td>{typeOf(document, field)}</td>
            <td>{field.description ?? follow(document, field)?.description}
              {named(inner) && follow(document, inner)?.properties && <details><summary>{named(inner)}</summary><Fields document={document} schema={inner} seen={[...seen, name]} /></details>}</td></tr>
        );
      })}</tbody>
    </table>
  );
}

function Rest({ document }: { document: Json }) {
  const groups = new Map<string, { method: string; path: string; operation: Json }[]>();
  for (const [path, item] of Object.entries<Json>(document.paths)) {
    for (const [method, operation] of Object.entries<Json>(item)) {
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
            {operation.security && <p class="quiet">takes {operation.security.flatMap(Object.keys).includes('api_key') ? 'the key of a back end in X-API-Key' : 'a bearer token'}</p>}
            {operation.parameters?.length > 0 && <><h3>Parameters</h3><table><tbody>{operation.parameters.map((one: Json) => (
              <tr key={one.name}><th scope="row"><code>{one.name}</code>{one.required && <span class="needed" title="needed">*</span>}</th><td>{typeOf(document, one.schema)}</td><td>{one.description}</td></tr>
            ))}</tbody></table></>}
            {body && <><h3>Body <span class="quiet">{type}</span></h3><Fields document={document} schema={body.schema} /></>}
            <h3>Answers</h3>
            {Object.entries<Json>(operation.responses).map(([status, answer]) => {
              const schema = Object.values<Json>(answer.content ?? {})[0]?.schema;
              return status < '300'
                ? <div key={status}><p><b>{status}</b> {answer.description}</p>{schema && <Fields document={document} schema={schema} />}</div>
                : <p key={status}><b>{status}</b> {answer.description}</p>;
            })}
          </details>
        );
      })}</section>
    ))}</>
  );
}

function Socket({ document }: { document: Json }) {
  const messages = document.channels.socket.messages;
  return (
    <section id="socket"><h2>socket</h2><p>{document.info.description}</p>
      {Object.entries<Json>(document.operations).map(([name, operation]) => (
        <details key={name} class="operation">
          <summary><b class={operation.reply ? 'post' : 'get'}>{operation.reply ? 'RPC' : 'PUSH'}</b> <code>{name}</code></summary>
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
  useEffect(() => {
    const read = (path: string) => fetch(path).then(answer => answer.json());
    Promise.all([read('/api/openapi.json'), read('/api/asyncapi.json')])
      .then(([rest, socket]) => setAll({ rest, socket }), () => setError('The server does not answer.'));
  }, []);
  const tags = all ? [...new Set(Object.values<Json>(all.rest.paths).flatMap(item => Object.values<Json>(item).map(one => one.tags?.[0])))] : [];
  return (
    <>
      <header><h1>Kervan’s API</h1><p class="quiet">{all?.rest.info.version} · <a href="/api/openapi.json">OpenAPI</a> · <a href="/api/asyncapi.json">AsyncAPI</a></p>
        <nav aria-label="Parts">{[...tags, 'socket'].map(tag => <a key={tag} href={`#${tag}`}>{tag}</a>)}</nav></header>
      <main>{error && <p role="alert">{error}</p>}{all && <><p>{all.rest.info.description}</p><Rest document={all.rest} /><Socket document={all.socket} /></>}</main>
    </>
  );
}

render(<Documents />, document.getElementById('root')!);
