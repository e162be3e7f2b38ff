import { existsSync, type FSWatcher, readFileSync, watch } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import type * as z from 'zod';
import type { Clock, Scheduled } from '../clock.ts';
import { loadConfig } from './load.ts';
import { ConfigError } from './problem.ts';

/** The configuration in force. Read `current` once a request, so that a request sees one snapshot (I17). */
export interface ConfigSource<T> {
  readonly current: T;
  /** Called after each accepted change with the new snapshot. Returns a function that stops it. */
  onChange(listener: (next: T) => void): () => void;
}

/** A source that never changes, for parts that are given their configuration by value. */
export function fixedConfig<T>(value: T): ConfigSource<T> {
  return { current: value, onChange: () => () => {} };
}

/** One section of a source, as a source. */
export function selectConfig<T, Part>(
  source: ConfigSource<T>,
  select: (config: T) => Part,
): ConfigSource<Part> {
  return {
    get current() {
      return select(source.current);
    },
    onChange: listener => source.onChange(next => listener(select(next))),
  };
}

export type ReloadOutcome =
  | { readonly type: 'reloaded' }
  | { readonly type: 'refused'; readonly error: ConfigError };

export interface FileConfigOptions<Schema extends z.ZodType> {
  readonly schema: Schema;
  /** A file that does not exist is an empty one; it is picked up when it appears. */
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Told the outcome of every reload, for the log. */
  readonly onReload: (outcome: ReloadOutcome) => void;
}

const settleMs = 100;

/**
 * The configuration file with a life: read at once, read again when the file changes or `reload()` is called (SIGHUP).
 * A new text is validated as a whole and then swapped in one assignment, or refused with the old one kept.
 */
export class FileConfig<Schema extends z.ZodType> implements ConfigSource<z.output<Schema>> {
  readonly #options: FileConfigOptions<Schema>;
  readonly #listeners = new Set<(next: z.output<Schema>) => void>();
  #current: z.output<Schema>;
  #watcher: FSWatcher | undefined;
  #pending: Scheduled | undefined;

  /** @throws ConfigError when the first text is not valid. */
  constructor(options: FileConfigOptions<Schema>) {
    this.#options = { ...options, path: resolve(options.path) };
    this.#current = this.#read();
  }

  get current(): z.output<Schema> {
    return this.#current;
  }

  onChange(listener: (next: z.output<Schema>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  reload(): ReloadOutcome {
    const outcome = this.#tryReload();
    this.#options.onReload(outcome);
    return outcome;
  }

  /** Watches the folder, not the file: editors and Kubernetes replace a file rather than write into it. */
  watch(): void {
    const { path, clock } = this.#options;
    const folder = dirname(path);
    if (!existsSync(folder)) return;
    this.#watcher = watch(folder, { persistent: false }, (_event, name) => {
      if (name !== null && name !== basename(path) && name !== '..data') return;
      this.#pending?.cancel();
      this.#pending = clock.schedule(settleMs, () => this.reload());
    });
  }

  close(): void {
    this.#pending?.cancel();
    this.#watcher?.close();
    this.#listeners.clear();
  }

  #tryReload(): ReloadOutcome {
    let next: z.output<Schema>;
    try {
      next = this.#read();
    } catch (error) {
      if (error instanceof ConfigError) return { type: 'refused', error };
      throw error;
    }
    this.#current = next;
    for (const listener of this.#listeners) listener(next);
    return { type: 'reloaded' };
  }

  #read(): z.output<Schema> {
    const { path, schema, env } = this.#options;
    return loadConfig(schema, { source: basename(path), text: readIfPresent(path) }, { env });
  }
}

function readIfPresent(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error) {
      if (error.code === 'ENOENT') return '';
      throw new ConfigError(basename(path), [
        { path: '', origin: undefined, message: `the file cannot be read (${String(error.code)})` },
      ]);
    }
    throw error;
  }
}
