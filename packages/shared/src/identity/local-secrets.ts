import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomText } from '../ids.ts';
import { Secret } from '../secret.ts';

/**
 * A secret that this installation made for itself: `<directory>/<name>`, readable by its owner only. Processes that
 * start at the same moment agree on one value: each writes a file of its own and links it into place; the first link
 * wins and everybody reads that.
 */
export function readOrCreateSecret(directory: string, name: string, generate: () => string): Secret {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, name);
  const existing = readIfPresent(path);
  if (existing !== undefined) return new Secret(existing);
  const own = `${path}.${randomText(12)}`;
  writeFileSync(own, generate(), { mode: 0o600, flag: 'wx', flush: true });
  try {
    linkSync(own, path);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    rmSync(own);
  }
  return new Secret(readFileSync(path, 'utf8'));
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
