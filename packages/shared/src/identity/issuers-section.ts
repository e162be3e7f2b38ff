import * as z from 'zod';
import { gatewayNames } from './envelope.ts';
import { signatureAlgorithms } from './remote-key-set.ts';
import { nodeIdSchema, principalKinds, roles } from './tree.ts';

const globs = z.array(z.string().min(1).max(256)).max(512);
const claimName = z.string().min(1).max(200);

/** A place of the tree: always the same, or what a claim says, if that is one of those allowed. */
const placeSchema = z.union([
  nodeIdSchema,
  z.strictObject({
    claim: claimName.describe('Name of the claim; a dot leads into an object.'),
    allowed: globs.min(1).describe('Globs of which the claim must match one.'),
  }),
]);

const grantSchema = z.strictObject({
  claim: claimName.describe('Name of the claim; a dot leads into an object.'),
  values: globs
    .min(1)
    .describe(
      'Globs, of which one must match the claim, or one of its values when it is a list or a text of words.',
    ),
  scopes: z
    .strictObject({
      models: globs.default([]).describe('Models of ai-gateway; `!` forbids.'),
      servers: globs.default([]).describe('Servers of mcp-gateway; `!` forbids.'),
      tools: globs.default([]).describe('Tools, as `server__tool`; `!` forbids.'),
      agents: globs.default([]).describe('Agents; `!` forbids.'),
      workflows: globs.default([]).describe('Workflows, as `namespace/name`; `!` forbids.'),
    })
    .prefault({})
    .describe('What whoever has the claim may use.'),
  roles: z.array(z.enum(roles)).default([]).describe('Admin roles in the organisation.'),
  tags: z
    .array(z.string().min(1).max(100))
    .max(20)
    .default([])
    .describe('Tags that the use is booked under.'),
});

export const issuerSchema = z.strictObject({
  issuer: z.string().min(1).describe('Exactly the `iss` of its tokens.'),
  audiences: z
    .array(z.string().min(1))
    .min(1)
    .describe('Values of `aud` that are meant for this installation.'),
  jwks_url: z.url().describe('Where its public keys are.'),
  allow_private: z.boolean().default(false).describe('Whether that may be a private address.'),
  algorithms: z
    .array(z.enum(signatureAlgorithms))
    .min(1)
    .default(['RS256', 'ES256', 'EdDSA'])
    .describe('Signature algorithms that are accepted.'),
  organisation: placeSchema.describe('The organisation of its principals.'),
  team: placeSchema.default('default').describe('Their team.'),
  project: placeSchema
    .optional()
    .describe('Their project. Without it `default`, and `TEAM-default` in any other team than `default`.'),
  principal_claim: claimName.default('sub').describe('The claim that names the principal.'),
  principal_prefix: z
    .string()
    .max(100)
    .default('')
    .describe('Put in front of the name, so that two issuers cannot name the same principal.'),
  principal_kind: z.enum(principalKinds).default('user').describe('What its principals are.'),
  makes_principals: z
    .boolean()
    .default(true)
    .describe('Whether a principal that the tree does not know is added to it.'),
  grants: z
    .array(grantSchema)
    .default([])
    .describe('What principals may use, by their claims; all that apply are added up. Without any: nothing.'),
});

export type IssuerConfig = z.output<typeof issuerSchema>;

export const trustedGatewaySchema = z.strictObject({
  gateway: z.enum(gatewayNames).describe('Which gateway of the other installation it is.'),
  jwks_url: z.url().describe('Its `/.well-known/jwks.json`.'),
  allow_private: z.boolean().default(false).describe('Whether that may be a private address.'),
  organisations: globs.min(1).describe('Globs of the organisations that it may speak for.'),
});

export type TrustedGatewayConfig = z.output<typeof trustedGatewaySchema>;
