import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { errorKinds } from '@strata/shared/errors/gateway-error.ts';
import { expect, test } from 'vitest';

/** `docs/errors.md` and the code name the same kinds and the same reasons. */

const root = resolve(import.meta.dirname, '..');
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8');

function tableUnder(heading: string): string[][] {
  const section = page.split(/^## /m).find(part => part.startsWith(heading)) ?? '';
  return section
    .split('\n')
    .filter(line => line.startsWith('| `'))
    .map(line =>
      line
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim().replaceAll('`', '')),
    );
}

function sourceFiles(): string[] {
  return readdirSync(join(root, 'packages'), { recursive: true, encoding: 'utf8' }).filter(
    name =>
      name.endsWith('.ts') &&
      name.includes('/src/') &&
      !name.includes('node_modules') &&
      !name.includes('/testing/') &&
      !name.endsWith('.test.ts'),
  );
}

const sources = new Map(
  sourceFiles().map(name => [name, readFileSync(join(root, 'packages', name), 'utf8')]),
);

/** Reasons that stand as literals beside their error; others are handed in, and are found by the page's own check. */
function reasonsInSource(): Map<string, string> {
  const reasons = new Map<string, string>();
  for (const [name, text] of sources) {
    for (const match of text.matchAll(
      /reason: (?:[^,;{}()]*\? )?'([a-z][a-z0-9_]*)'(?! in )(?: : '([a-z][a-z0-9_]*)')?/g,
    )) {
      for (const reason of [match[1], match[2]]) if (reason !== undefined) reasons.set(reason, name);
    }
  }
  return reasons;
}

test('every kind is on the page with its status, whether it may be retried and whether its text is shown', () => {
  const documented = tableUnder('Kinds').map(([kind, status, retry, shown]) => [
    kind,
    Number(status),
    retry === 'yes',
    shown === 'yes',
  ]);
  const actual = Object.entries(errorKinds).map(([kind, row]) => [
    kind,
    row.status,
    row.retryable,
    row.expose,
  ]);
  expect(documented).toEqual(actual);
});

test('every reason that the code gives has one line on the page, and every line is given by the code', () => {
  const documented = tableUnder('Reasons').map(([reason]) => reason ?? '');
  const actual = reasonsInSource();
  expect(
    [...actual.keys()]
      .filter(reason => !documented.includes(reason))
      .map(reason => `${reason} (${actual.get(reason)})`),
  ).toEqual([]);
  const everything = [...sources.values()].join(' ');
  expect(documented.filter(reason => !everything.includes(`'${reason}'`))).toEqual([]);
  expect(documented.length).toBe(new Set(documented).size);
});
