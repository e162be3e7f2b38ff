import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import * as z from 'zod';
import { systemClock } from '../clock.ts';
import { FileConfig, type ReloadOutcome, selectConfig } from './config-source.ts';
import { ConfigError } from './problem.ts';

const schema = z.strictObject({ left: z.number().default(1), right: z.number().default(1) });
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function open(text?: string) {
  const folder = mkdtempSync(join(tmpdir(), 'strata-config-'));
  folders.push(folder);
  const path = join(folder, 'strata.yaml');
  if (text !== undefined) writeFileSync(path, text);
  const outcomes: ReloadOutcome[] = [];
  let arrived: (outcome: ReloadOutcome) => void = () => {};
  const config = new FileConfig({
    schema,
    path,
    env: {},
    clock: systemClock,
    onReload: outcome => {
      outcomes.push(outcome);
      arrived(outcome);
    },
  });
  const next = () => new Promise<ReloadOutcome>(resolve => (arrived = resolve));
  return { config, path, outcomes, next };
}

test('a missing file is an empty one; a bad first text is refused', () => {
  expect(open().config.current).toEqual({ left: 1, right: 1 });
  expect(() => open('left: x')).toThrow(ConfigError);
});

test('[I17] a reload swaps the whole snapshot or keeps the whole old one', () => {
  const { config, path, outcomes } = open('left: 2\nright: 2');
  const seen: unknown[] = [];
  selectConfig(config, current => current.right).onChange(right => seen.push(right));
  const before = config.current;
  writeFileSync(path, 'left: 3\nright: wrong');
  expect(config.reload().type).toBe('refused');
  expect(config.current).toBe(before);
  writeFileSync(path, 'left: 3\nright: 3');
  config.reload();
  expect(config.current).toEqual({ left: 3, right: 3 });
  expect(before).toEqual({ left: 2, right: 2 });
  expect(seen).toEqual([3]);
  expect(outcomes.map(outcome => outcome.type)).toEqual(['refused', 'reloaded']);
});

test('a file that is replaced by renaming is picked up', async () => {
  const { config, path, next } = open('left: 2');
  config.watch();
  const reloaded = next();
  writeFileSync(`${path}.new`, 'left: 5');
  renameSync(`${path}.new`, path);
  expect((await reloaded).type).toBe('reloaded');
  expect(config.current.left).toBe(5);
  config.close();
});
