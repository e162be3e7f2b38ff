import * as z from 'zod';
import type { CompileContext, TaskScope } from '../domain/task-type.ts';
import type { Template } from '../domain/workflow.ts';

const refused =
  'Only `basic` and `bearer` are supported; other schemes would need secrets, which are not handed to definitions';

export const authenticationSchema = z.union(
  [
    z.strictObject({ basic: z.strictObject({ username: z.string(), password: z.string() }) }),
    z.strictObject({ bearer: z.strictObject({ token: z.string() }) }),
  ],
  refused,
);

/** Specification 1.0, "Endpoint": an address, or one with the credentials for it. */
export const endpointSchema = z.union(
  [
    z.string().min(1),
    z.strictObject({ uri: z.string().min(1), authentication: authenticationSchema.optional() }),
  ],
  `Expected an address, or an object with \`uri\` and \`authentication\`. ${refused}`,
);

export interface EndpointOptions {
  readonly uri: Template;
  readonly credentials: Template | undefined;
}

/** How a request shows who it is from. Applied where the request is made, so that no output and no header of a record holds it. */
export type Credentials =
  | { readonly scheme: 'basic'; readonly username: string; readonly password: string }
  | { readonly scheme: 'bearer'; readonly token: string };

export function compileEndpoint(
  endpoint: z.output<typeof endpointSchema>,
  pointer: string,
  context: CompileContext,
): EndpointOptions {
  if (typeof endpoint === 'string')
    return { uri: context.template(endpoint, pointer), credentials: undefined };
  const { uri, authentication } = endpoint;
  return {
    uri: context.template(uri, `${pointer}/uri`),
    credentials: authentication && context.template(authentication, `${pointer}/authentication`),
  };
}

export async function prepareCredentials(
  { credentials }: Pick<EndpointOptions, 'credentials'>,
  scope: TaskScope,
): Promise<Credentials | undefined> {
  if (credentials === undefined) return undefined;
  const given = authenticationSchema.parse(await scope.evaluate(credentials)); // of the form that was compiled
  return 'basic' in given ? { scheme: 'basic', ...given.basic } : { scheme: 'bearer', ...given.bearer };
}

/** RFC 7617 and RFC 6750. */
export function authorizationOf(credentials: Credentials): string {
  if (credentials.scheme === 'bearer') return `Bearer ${credentials.token}`;
  const { username, password } = credentials;
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
