import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { canonicalJson, digestOf } from '@strata/shared/json/canonical-json.ts';
import type { FastifyRequest } from 'fastify';
import * as z from 'zod';
import { requireWorkflowScope } from '../domain/authority.ts';
import { findWorkflow } from '../domain/find-workflow.ts';
import type { Definition } from '../dsl/definitions.ts';
import { partOf, readYaml, type Source } from '../dsl/source.ts';
import type { Submission } from '../pipeline/submit-run.ts';
import type { ApiDeps } from './api-deps.ts';
import { lowerFields, readLowered } from './limit-fields.ts';
import { checkFields, readSource } from './read-body.ts';

const referencePattern = /^([^/@:]+)\/([^/@:]+)[@:](\S+)$/;

/** A stored workflow, in one text or in its parts. */
export const workflowReference = z.union([
  z.string().regex(referencePattern, 'expected namespace/name@version'),
  z.strictObject({ namespace: z.string(), name: z.string(), version: z.string() }),
]);

export const definitionFields = {
  definition: z.union([z.string().min(1), z.record(z.string(), z.unknown())]).optional(),
  workflow: workflowReference.optional(),
};

/** Unknown fields are refused: a public run takes a reference and an input, and nothing can be slipped in beside (G15). */
export const submissionBody = z
  .strictObject({
    ...definitionFields,
    input: z.unknown().optional(),
    limits: lowerFields.optional(),
    thread: z
      .string()
      .regex(/^[\x21-\x7e]{1,100}$/, 'expected the id of a thread')
      .optional()
      .describe('The thread in whose context it begins.'),
  })
  .refine(body => (body.definition === undefined) !== (body.workflow === undefined), {
    message: 'expected either `definition` or `workflow`',
  });

const keyPattern = /^[\x21-\x7e]{1,255}$/;

/** Reads `POST /v1/runs`. */
export async function readSubmission(request: FastifyRequest, deps: ApiDeps): Promise<Submission> {
  const source = readSource(request);
  const body = checkFields(source.value, submissionBody);
  const { input = {}, limits, thread } = body;
  const { workflow, document } = await readDefinition(request, source, body, deps);
  return {
    workflow,
    document,
    input,
    idempotencyKey: readKey(request),
    digest: digestOf(
      canonicalJson({
        definition: workflow.hash,
        input,
        ...(limits && { limits }),
        ...(thread && { thread }),
      }),
    ),
    limits: limits && readLowered(limits),
    thread,
    caller: request.caller,
    trace: request.traceContext,
  };
}

type DefinitionFields = z.output<z.ZodObject<typeof definitionFields>>;

/** A stored workflow, or a document that comes with the request. */
export async function readDefinition(
  request: FastifyRequest,
  source: Source,
  { definition, workflow }: DefinitionFields,
  deps: ApiDeps,
): Promise<Definition> {
  if (workflow !== undefined) return findStored(request, workflow, deps);
  if (typeof definition === 'string') return deps.definitions.read(readYaml(definition));
  return deps.definitions.read(partOf(source, '/definition', definition));
}

async function findStored(
  request: FastifyRequest,
  reference: z.output<typeof workflowReference>,
  { journal, definitions }: ApiDeps,
): Promise<Definition> {
  const id = readReference(reference);
  const stored = await findWorkflow(journal, request.caller.tenant, id);
  requireWorkflowScope(request.caller, stored ?? id);
  const definition = stored && (await journal.getDefinition(stored.definition));
  if (definition === undefined) {
    throw new GatewayError('not_found', `There is no workflow ${id.namespace}/${id.name}@${id.version}.`, {
      reason: 'workflow_not_found',
    });
  }
  const { hash, document } = definition;
  return { workflow: definitions.load(hash, document), document };
}

export function readReference(reference: z.output<typeof workflowReference>) {
  if (typeof reference !== 'string') return reference;
  const [, namespace = '', name = '', version = ''] = referencePattern.exec(reference) ?? [];
  return { namespace, name, version };
}

export function readKey(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key === 'string' && keyPattern.test(key)) return key;
  throw new GatewayError('invalid_request', 'An idempotency key is 1 to 255 visible ASCII characters.', {
    reason: 'idempotency_key_invalid',
    param: 'idempotency-key',
  });
}
