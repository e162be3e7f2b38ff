import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import '@strata/shared/service.ts';
import './app.ts';
import { createDataSchemas } from './dsl/data-schemas.ts';
import { createGrammar } from './dsl/grammar.ts';
import { Mistakes } from './dsl/mistakes.ts';
import { createJqExpressions } from './expressions/jq-expressions.ts';
import { openSqliteJournal } from './journal/sqlite/sqlite-journal.ts';

/**
 * Run while the image is made: loads what the process and each of its threads load, so that what Node compiles of it is in
 * `NODE_COMPILE_CACHE` before the first start. A thread that has to compile takes 20 MB more, and keeps them.
 */
const mebibyte = 1024 * 1024;
const folder = join(tmpdir(), 'strata-warm-up');
const journal = await openSqliteJournal(join(folder, 'journal.sqlite'));
const schemas = createDataSchemas(systemClock);
const grammar = createGrammar(systemClock);
const expressions = createJqExpressions({
  clock: systemClock,
  threads: 1,
  timeoutMs: 10_000,
  maxMemoryBytes: 64 * mebibyte,
  maxOutputBytes: mebibyte,
  maxQueue: 10,
});
const document = { document: { dsl: '1.0.3', namespace: 'a', name: 'b', version: '1.0.0' }, do: [] };
await Promise.all([
  grammar.check(document, new Mistakes(() => undefined)),
  schemas.check({ type: 'object' }),
  expressions.check('[.[] | add]'),
]);
await Promise.all([grammar.close(), schemas.close(), expressions.close(), journal.close()]);
await rm(folder, { recursive: true });
