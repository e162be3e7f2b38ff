import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { canonicalJson } from '@strata/shared/json/canonical-json.ts';
import { ThreadPool } from '@strata/shared/threads/thread-pool.ts';
import type { DataSchemas } from '../domain/data-schemas.ts';
import type { SchemaAnswer, SchemaJob } from './schema-job.ts';

const cpuLimitMs = 200;
const idleMs = 300_000;
const maxSchemaLength = 256 * 1024;

/**
 * Schemas come from whoever submits a definition, and a pattern or a nest of alternatives can cost any amount of time, so they
 * are compiled and applied in a thread of their own with a limit.
 */
export function createDataSchemas(clock: Clock): DataSchemas {
  const pool = new ThreadPool({
    file: new URL('./schema-thread.ts', import.meta.url),
    clock,
    size: 1,
    maxQueue: 1000,
    maxHeapMiB: 256,
    idleMs,
  });

  async function run(job: SchemaJob): Promise<SchemaAnswer> {
    try {
      return (await pool.run(job, { cpuLimitMs })) as SchemaAnswer; // what `schema-thread.ts` answers
    } catch (error) {
      throw explain(error);
    }
  }

  return {
    async check(schema) {
      const text = canonicalJson(schema);
      if (text.length > maxSchemaLength) return `The schema is longer than ${maxSchemaLength} characters.`;
      const answer = await run({ type: 'check', schema: text });
      return answer.type === 'invalid-schema' ? `Not a valid JSON Schema: ${answer.message}.` : undefined;
    },
    async validate(schema, value) {
      const answer = await run({ type: 'validate', schema: canonicalJson(schema), value });
      return answer.type === 'done' ? answer.problems : [{ pointer: '', message: answer.message }];
    },
    close: () => pool.close(),
  };
}

function explain(error: unknown): unknown {
  if (!(error instanceof GatewayError)) return error;
  if (error.reason === 'thread_queue_full') {
    return new GatewayError('overloaded', 'Too many values wait to be validated.', {
      reason: 'schema_busy',
      cause: error,
    });
  }
  return new GatewayError('timeout', `Validating against the schema took longer than ${cpuLimitMs} ms.`, {
    reason: 'schema_timeout',
    cause: error,
  });
}
