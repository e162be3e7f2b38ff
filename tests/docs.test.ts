import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

/** The pages hold together: what they link to exists, each can be reached from the README, and no half-merged text is left anywhere. */

const root = resolve(import.meta.dirname, '..');
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter(name => name !== '' && existsSync(join(root, name)));
const pages = files.filter(name => name.endsWith('.md'));

const withoutCode = (text: string) =>
  text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, code => code.replace(/[[\]()]/g, ' '));

/** The anchor that a heading gets on the pages of a repository host. */
const anchorOf = (heading: string) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');

const anchorsOf = (page: string) =>
  new Set(
    [
      ...readFileSync(join(root, page), 'utf8')
        .replace(/^```[\s\S]*?^```/gm, '')
        .matchAll(/^#+ (.+)$/gm),
    ].map(([, heading = '']) => anchorOf(heading)),
  );

const linksOf = (page: string) =>
  [...withoutCode(readFileSync(join(root, page), 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter(target => !/^[a-z]+:/.test(target))
    .map(target => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : relative(root, resolve(root, dirname(page), path));
      return { target, file, anchor };
    });

test('pages are found', () => expect(pages.length).toBeGreaterThan(30));

describe.each(pages)('%s', page => {
  test('links to what exists', () => {
    const broken = linksOf(page).filter(
      ({ file, anchor }) =>
        !existsSync(join(root, file)) ||
        (anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).has(anchor)),
    );
    expect(broken.map(link => link.target)).toEqual([]);
  });
});

test('every page can be reached from the README', () => {
  const reached = new Set<string>();
  const visit = (page: string) => {
    if (reached.has(page) || !pages.includes(page)) return;
    reached.add(page);
    for (const { file } of linksOf(page)) {
      visit(file);
      visit(join(file, 'README.md'));
      for (const inside of pages) if (dirname(inside) === file) visit(inside);
    }
  };
  visit('README.md');
  expect(pages.filter(page => !reached.has(page))).toEqual([]);
});

test('no file holds the marks of an unfinished merge', () => {
  const marked = files.filter(name => {
    const bytes = readFileSync(join(root, name));
    return /^(?:<{7} |>{7} |={7}$)/m.test(bytes.toString('latin1'));
  });
  expect(marked).toEqual([]);
});
