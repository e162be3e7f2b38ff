import * as z from 'zod';
import type { CompileContext } from '../domain/task-type.ts';
import type { Template } from '../domain/workflow.ts';
import {
  authenticationHint,
  authenticationSchema,
  type CompiledAuthentication,
  compileAuthentication,
} from './authentication/authentication.ts';

/** Specification 1.0, "Endpoint": an address, or one with the credentials for it. */
export const endpointSchema = z.union(
  [
    z.string().min(1),
    z.strictObject({ uri: z.string().min(1), authentication: authenticationSchema.optional() }),
  ],
  `Expected an address, or an object with \`uri\` and \`authentication\`. ${authenticationHint}`,
);

export interface EndpointOptions {
  readonly uri: Template;
  readonly authentication: CompiledAuthentication | undefined;
}

export function compileEndpoint(
  endpoint: z.output<typeof endpointSchema>,
  pointer: string,
  context: CompileContext,
): EndpointOptions {
  if (typeof endpoint === 'string')
    return { uri: context.template(endpoint, pointer), authentication: undefined };
  const { uri, authentication } = endpoint;
  return {
    uri: context.template(uri, `${pointer}/uri`),
    authentication:
      authentication && compileAuthentication(authentication, `${pointer}/authentication`, context),
  };
}
