// Text of the documents as it is to be read: what stands between backticks is code.

type Json = any;

export function Text({ of }: { of?: string }) {
  if (!of) return null;
  return <>{of.split('`').map((piece, at) => (at % 2 ? <code key={at}>{piece}</code> : piece))}</>;
}

// A value that fits a schema, with what the document gives as an example.
export function sample(schema: Json, follow: (value: Json) => Json, depth = 0): Json {
  const known = follow(schema) ?? {};
  if (known.example !== undefined) return known.example;
  if (known.enum) return known.enum[0];
  const one = known.oneOf ?? known.anyOf;
  if (one) return sample(one[0], follow, depth);
  const type = [known.type].flat().find((name: string) => name !== 'null');
  if (type === 'integer' || type === 'number') return known.minimum ?? 0;
  if (type === 'boolean') return true;
  if (type === 'string') return known.format === 'uuid' ? '00000000-0000-4000-8000-000000000000' : '…';
  if (depth > 3) return null;
  if (type === 'array') return [sample(known.items, follow, depth + 1)];
  const parts = [known, ...(known.allOf ?? []).map(follow)];
  const fields = parts.flatMap((part: Json) => Object.entries<Json>(part?.properties ?? {}).filter(([key]) => part.required?.includes(key)));
  return Object.fromEntries(fields.map(([key, field]) => [key, sample(field, follow, depth + 1)]));
}

// The request as a line for a shell: TOKEN, KEY and CHAT are the reader's own.
export function curl(method: string, path: string, operation: Json, follow: (value: Json) => Json): string {
  const key = operation.security?.flatMap(Object.keys)[0];
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => '$' + name.toUpperCase());
  const needed = (operation.parameters ?? []).filter((one: Json) => one.in === 'query' && one.required);
  const query = needed.map((one: Json) => `${one.name}=${encodeURIComponent(sample(one.schema, follow))}`).join('&');
  const words = [`curl ${method === 'get' ? '' : `-X ${method.toUpperCase()} `}"${location.origin}${filled}${query && '?' + query}"`];
  if (key === 'bearer') words.push('-H "Authorization: Bearer $TOKEN"');
  if (key === 'api_key') words.push('-H "X-API-Key: $KEY"');
  const [type, body] = Object.entries<Json>(operation.requestBody?.content ?? {})[0] ?? [];
  if (type === 'multipart/form-data') words.push('-F chat=$CHAT -F file=@camel.jpg');
  else if (body) {
    const json = JSON.stringify(body.example ?? sample(body.schema, follow)).replaceAll("'", "'\\''");
    words.push("-H 'Content-Type: application/json'", `-d '${json}'`);
  }
  return words.join(' \\\n  ');
}
