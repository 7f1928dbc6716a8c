// The code blocks of a Markdown file, and its links and headings.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');

// [{ file, line, language, text }]: fenced ones, without the indentation of a list that they stand in; and in the README those
// that are indented only.
export function blocks(file) {
  const found = [];
  let open;
  let before = '';
  for (const [index, line] of readFileSync(join(root, file), 'utf8').split('\n').entries()) {
    const fence = /^( *)```(\S*)/.exec(line);
    if (open?.fenced) {
      if (fence) open = undefined;
      else open.lines.push(line.slice(Math.min(open.indent, line.length - line.trimStart().length)));
    } else if (fence) {
      open = { file, line: index + 1, language: fence[2], indent: fence[1].length, fenced: true, lines: [] };
      found.push(open);
    } else if (/^ {4}\S/.test(line) && (open || (before === '' && file === 'README.md'))) {
      if (!open) found.push(open = { file, line: index + 1, language: 'sh', lines: [] });
      open.lines.push(line.slice(4));
    } else {
      open = undefined;
    }
    before = line.trim();
  }
  return found.map(({ lines, language, line }) => ({ file, line, language, text: `${lines.join('\n')}\n` }));
}

// The text without code.
function prose(file) {
  const text = readFileSync(join(root, file), 'utf8');
  return text.replace(/^( *)```[\s\S]*?^\1```$/gm, '').replace(/`[^`\n]*`/g, code => code.replace(/[[\]()<>]/g, ''));
}

// Where the file's links lead: [path or address].
export function links(file) {
  return [...prose(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target);
}

// The anchors that GitHub makes of the headings.
export function anchors(file) {
  const slugs = new Map();
  const headings = readFileSync(join(root, file), 'utf8').replace(/^( *)```[\s\S]*?^\1```$/gm, '').matchAll(/^#+ +(.*)$/gm);
  return new Set([...headings].map(([, heading]) => {
    const slug = heading.trim().toLowerCase().replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, '').replaceAll(' ', '-');
    const times = slugs.get(slug) ?? 0;
    slugs.set(slug, times + 1);
    return times ? `${slug}-${times}` : slug;
  }));
}
