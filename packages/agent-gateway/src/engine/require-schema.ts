import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { type DataSchemas, firstProblem } from '../domain/data-schemas.ts';
import type { NodeSchemas } from '../domain/workflow.ts';

const whatIs = { input: 'The input', output: 'The output', export: 'The exported context' } as const;

/**
 * @throws GatewayError invalid_request (`data_invalid`) with the places that are not what the schema says.
 */
export async function requireSchema(
  declared: NodeSchemas,
  part: keyof typeof whatIs,
  { value, schemas }: { readonly value: unknown; readonly schemas: DataSchemas },
): Promise<void> {
  const schema = declared[part];
  if (schema === undefined) return;
  const problems = await schemas.validate(schema, value ?? null);
  const problem = firstProblem(problems);
  if (problem === undefined) return;
  throw new GatewayError('invalid_request', `${whatIs[part]} is not what its schema says${problem}`, {
    reason: 'data_invalid',
    details: { errors: problems },
  });
}
