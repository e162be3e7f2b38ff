import { serveThread } from '@strata/shared/threads/serve-thread.ts';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import type { SchemaAnswer, SchemaJob } from './schema-job.ts';

const maxKept = 200;
const maxProblems = 20;
const kept = new Map<string, ValidateFunction>();

validatorOf('{}'); // what every compiler needs is loaded and warm before the first job

serveThread<SchemaJob, SchemaAnswer>(job => {
  let validate: ValidateFunction;
  try {
    validate = validatorOf(job.schema);
  } catch (error) {
    return { type: 'invalid-schema', message: error instanceof Error ? error.message : String(error) };
  }
  if (job.type === 'check' || validate(job.value)) return { type: 'done', problems: [] };
  return { type: 'done', problems: (validate.errors ?? []).slice(0, maxProblems).map(describe) };
});

/** One compiler a schema: an `$id` of one must not be what another refers to. */
function validatorOf(schema: string): ValidateFunction {
  const known = kept.get(schema);
  if (known !== undefined) return known;
  const compiler = new Ajv2020({ allErrors: true, strict: false, logger: false });
  formats.default(compiler);
  const validate = compiler.compile(JSON.parse(schema));
  const [oldest] = kept.keys();
  if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest);
  kept.set(schema, validate);
  return validate;
}

function describe({ instancePath, message, params }: ErrorObject) {
  const extra = 'additionalProperty' in params ? ` ('${String(params.additionalProperty)}')` : '';
  return { pointer: instancePath, message: `${message ?? 'is not valid'}${extra}` };
}
