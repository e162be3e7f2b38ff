import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { ConfigError } from './problem.ts';

/**
 * The text of the configuration file, for commands. `strata.yaml` may be absent; a file that was named may not: a command would work on
 * another store than was meant.
 *
 * @throws ConfigError
 */
export function readConfigFile(env: Readonly<Record<string, string | undefined>>): {
  readonly source: string;
  readonly text: string;
} {
  const { STRATA_CONFIG: named } = env;
  const path = named ?? 'strata.yaml';
  if (existsSync(path)) return { source: basename(path), text: readFileSync(path, 'utf8') };
  if (named === undefined) return { source: path, text: '' };
  const problem = { path: 'STRATA_CONFIG', origin: undefined, message: `there is no file '${named}'` };
  throw new ConfigError('the environment', [problem]);
}
