/** A value that the operator keeps, named by a definition and put in where the request is made: no record ever holds it. */
export interface SecretRef {
  readonly secret: string;
  /** Of a secret with several values; the whole secret when it is one text. */
  readonly field: string | undefined;
}

export type CredentialValue = string | SecretRef;

export const schemes = ['basic', 'bearer', 'digest', 'oauth2', 'oidc'] as const;
export type Scheme = (typeof schemes)[number];

/** How a request shows who it is from. Applied where the request is made. */
export interface Credentials {
  readonly scheme: Scheme;
  /** By the names that a secret with several values has them under too. */
  readonly values: Readonly<Record<string, CredentialValue>>;
}

const tokenFields = {
  needed: ['authority', 'grant', 'client_id'],
  optional: [
    'client_secret',
    'client_authentication',
    'encoding',
    'issuers',
    'scopes',
    'audiences',
    'username',
    'password',
    'subject_token',
    'subject_token_type',
    'actor_token',
    'actor_token_type',
  ],
};

/** What each scheme takes; those of the second list may be left out. */
export const schemeFields: Readonly<
  Record<Scheme, { readonly needed: readonly string[]; readonly optional: readonly string[] }>
> = {
  basic: { needed: ['username', 'password'], optional: [] },
  bearer: { needed: ['token'], optional: [] },
  digest: { needed: ['username', 'password'], optional: [] },
  oauth2: { ...tokenFields, optional: [...tokenFields.optional, 'token_endpoint'] },
  oidc: tokenFields,
};
