import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { loadConfig } from '@strata/shared/config/load.ts';
import { rootSchema, type SharedConfig } from '@strata/shared/config/root-schema.ts';

export function configPath(): string {
  return process.env.STRATA_CONFIG ?? 'strata.yaml';
}

/** The shared sections of the configuration in force. @throws ConfigError */
export function loadSharedConfig(): SharedConfig {
  const path = configPath();
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return loadConfig(rootSchema({}), { source: basename(path), text }, { env: process.env });
}
