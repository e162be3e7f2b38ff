import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

/** The pages of the project hold together: no link leads nowhere, no page is without a way to it, none was left half merged. */

const root = resolve(import.meta.dirname, '..');
const skipped = new Set(['node_modules', '.git', '.strata']);

function pagesUnder(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : pagesUnder(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

const pages = pagesUnder(root);
const textOf = (page: string) => readFileSync(page, 'utf8');

/** Paths in the repository that a page links to, without their anchors. */
function linksOf(page: string): string[] {
  const prose = textOf(page).replaceAll(/```[\s\S]*?```|`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target.replace(/#.*$/, ''))
    .filter(target => target !== '' && !/^[a-z]+:/.test(target))
    .map(target => resolve(dirname(page), target));
}

test('no page holds the marks of an unfinished merge', () => {
  const marked = pages.filter(page => /^(?:<{7}|>{7}|\|{7})(?: |$)/m.test(textOf(page)));
  expect(marked.map(page => relative(root, page))).toEqual([]);
});

test('every link between pages leads somewhere', () => {
  const broken = pages.flatMap(page =>
    linksOf(page)
      .filter(target => !existsSync(target))
      .map(target => `${relative(root, page)}: ${relative(root, target)}`),
  );
  expect(broken).toEqual([]);
});

test('every page of docs/ can be reached from the README', () => {
  const reached = new Set<string>();
  const open = [join(root, 'README.md')];
  for (let page = open.pop(); page !== undefined; page = open.pop()) {
    if (reached.has(page)) continue;
    reached.add(page);
    open.push(...linksOf(page).filter(target => target.endsWith('.md') && existsSync(target)));
  }
  const lost = readdirSync(join(root, 'docs')).filter(
    name => name.endsWith('.md') && !reached.has(join(root, 'docs', name)),
  );
  expect(lost).toEqual([]);
});
