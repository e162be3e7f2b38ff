import { expect, test } from 'vitest';
import {
  credentialsIn,
  credentialsInArguments,
  credentialsInUrl,
  isCredentialName,
} from './shown-credentials.ts';

/** In two parts, so that scanners of secrets do not take it for one. */
const at = (scheme: string, rest: string) => `${scheme}://${rest}`;

test.each([
  ...[
    'Authorization',
    'x-api-key',
    'apikey',
    'apiKey',
    'Ocp-Apim-Subscription-Key',
    'X-Auth-Token',
    'cookie',
  ],
  ...[
    'code',
    'x-functions-code',
    'auth_code',
    'sig',
    'X-Amz-Signature',
    'GITLAB_PAT',
    'session',
    'sessionId',
    'sid',
  ],
  ...[
    'DB_PASSWORD',
    'PGPASSWORD',
    'PASS',
    'MYSQL_PWD',
    'CLIENT_SECRET',
    'jwt',
    'GITHUB_PERSONAL_ACCESS_TOKEN',
  ],
])('[S20] %s is the name of a credential', name => {
  expect(isCredentialName(name)).toBe(true);
});

test.each([
  ...[
    'x-tenant',
    'x-author',
    'LOG_LEVEL',
    'COUNTRY_CODE',
    'zipcode',
    'encoding',
    'design',
    'PATH',
    'pattern',
    'keyboard',
  ],
  ...[
    'TOKEN_URL',
    'KEY_FILE',
    'SECRET_NAME',
    'AUTH_MODE',
    'SESSION_TIMEOUT',
    'NODE_ENV',
    'MEMORY_FILE_PATH',
    'api-version',
  ],
  ...[
    'MAX_TOKENS',
    'SESSION_STORE',
    'CACHE_KEY_PREFIX',
    'TOKENIZER',
    'AUTH_USER',
    'AUTH_STRATEGY',
    'SESSION_BACKEND',
    'TOKEN_SCOPES',
    'MAX_TOKENS_TOTAL',
  ],
])('%s is none', name => {
  expect(isCredentialName(name)).toBe(false);
});

test('[S20] credentials are known by what they are called, by how they look, and in addresses and cookies', () => {
  const values = {
    'x-tenant': 'acme-inc',
    'x-custom': 'Bearer abcdefgh',
    'x-other': 'ghp_abcdefgh',
    DATABASE_URL: at('postgres', 'ada:pa%20ss@db/main'),
    HOME_PAGE: 'https://example.com/',
    cookie: 'session=abcdefgh; other=ijklmnop',
  };
  expect(credentialsIn(values)).toEqual([
    'Bearer abcdefgh',
    'ghp_abcdefgh',
    'pa%20ss',
    'pa ss',
    'session=abcdefgh; other=ijklmnop',
    'abcdefgh',
    'ijklmnop',
  ]);
  expect(credentialsInUrl('https://mcp.example/mcp?tavilyApiKey=abcdefgh&v=2025-01-01')).toEqual([
    'abcdefgh',
  ]);
});

test('[S20] what a program is told in its arguments is known, too', () => {
  const args = [
    '-y',
    'server',
    '--api-key=abcdefgh',
    '--token',
    'ijklmnop',
    '--header',
    'Authorization: Bearer qrstuvwx',
  ];
  args.push(
    '--root',
    '/data',
    '--verbose',
    at('postgres', 'ada:yzabcdef@db/main'),
    'https://x.example/mcp?sig=ghijklmn',
    '--pat',
  );
  expect([...new Set(credentialsInArguments(args))]).toEqual([
    'abcdefgh',
    'ijklmnop',
    'Bearer qrstuvwx',
    'yzabcdef',
    'ghijklmn',
    '',
  ]);
});

test.each([
  ['DATABASE_URL', at('postgres', 'postgres:postgres@db/main'), []],
  ['DATABASE_URL', at('postgres', 'ada:postgres@db/main'), []],
  ['DB_PASSWORD', 'result', []],
  ['PIN', '128000', []],
  ['USE_TOKEN', 'true', []],
  ['USE_TOKEN', 'enabled\n', []],
  ['MONGO_URL', at('mongodb', 'ada:abcd%2Fefgh@one:1,two:2/main'), ['abcd%2Fefgh', 'abcd/efgh']],
  ['REPO', 'https://0123456789abcdef@git.example/x', ['0123456789abcdef', '0123456789abcdef']],
  ['REPO', 'ssh://git@git.example/x', []],
  ['STORAGE', 'AccountName=acme;AccountKey=abcd/efgh==;EndpointSuffix=x', ['abcd/efgh==']],
  ['CONNECTION', 'host=db user=ada password=abcd-efgh', ['abcd-efgh']],
  ['ADDRESS', 'https://x.example/?key=abcdefg1&key=abcdefg2', ['abcdefg1', 'abcdefg2']],
  ['ACCOUNT', '{"type":"service_account","private_key":"abcd-efgh\\n"}', ['abcd-efgh\n']],
])('[S20] of %s = %s just the credentials are taken', (name, value, credentials) => {
  expect(credentialsIn({ [name]: value })).toEqual(credentials);
});

/** In two parts, too. */
const bearer = (credential: string) => `Authorization: ${'Bearer'} ${credential}`;
const named = (name: string, rest: string) => `${name}=${rest}`;

test.each([
  [['-e', named('API_KEY', 'abcdef123456')], ['abcdef123456']],
  [[named('--env=API_KEY', 'abcdef123456')], ['abcdef123456']],
  [[named('-eAPI_KEY', 'abcdef123456')], ['abcdef123456']],
  [[named('API_KEY', 'abcdef123456'), 'server.js'], ['abcdef123456']],
  [[`--header=${bearer('abcdef123456')}`], ['Bearer abcdef123456']],
  [['-H', bearer('abcdef123456')], ['Bearer abcdef123456']],
  [[`Authorization:${'Bearer'} abcdef123456`], ['Bearer abcdef123456']],
  [['server.js', `sk-${'proj'}-abc123456`], [`sk-${'proj'}-abc123456`]],
  [[named('--key', `sk-${'proj'}-abc123456`)], [`sk-${'proj'}-abc123456`]],
  [['--dsn-file', named('host=db user=ada password', 'abcd-efgh')], ['abcd-efgh']],
  [[named('AccountName=acme;AccountKey', 'abcd/efgh==')], ['abcd/efgh==']],
  [[at('jdbc:sqlserver', named('h;user=sa;password', 'abcd-efgh'))], ['abcd-efgh']],
  [['--label', 'key=production'], []],
  [['--label=key=production', 'keys=production'], []],
  [
    ['-e', named('key', 'abcdef123456'), named('API_KEY', 'abcdefghijkl')],
    ['abcdef123456', 'abcdefghijkl'],
  ],
  [['-e', 'LOG_LEVEL=information', '--port=8080000000', 'https://example.com/a:b', 'a=b=c', 'x.js'], []],
])('[S20] in the arguments %j just the credentials are known', (args, credentials) => {
  expect([...new Set(credentialsInArguments(args))]).toEqual(credentials);
});

test.each([
  ['OTEL_EXPORTER_OTLP_HEADERS', named('api-key', 'abcd-efgh'), ['abcd-efgh']],
  ['OTEL_EXPORTER_OTLP_HEADERS', named('x-tenant=acme-inc,api-key', 'abcd-efgh'), ['abcd-efgh']],
  [
    'OTEL_EXPORTER_OTLP_HEADERS',
    named('Authorization', `${'Bearer'}%20abcdefgh`),
    ['Bearer%20abcdefgh', 'Bearer abcdefgh'],
  ],
  ['HEADERS', bearer('abcd-efgh'), ['Bearer abcd-efgh']],
  ['HEADERS', `X-Tenant: acme-inc\nX-Api-Key: ${'abcd'}-efgh`, ['abcd-efgh']],
  ['DATABASE', at('jdbc:sqlserver', named('h;user=sa;password', 'abcd-efgh')), ['abcd-efgh']],
  ['DATABASE', at('jdbc:mysql', named('h/main?user=sa&password', 'abcd-efgh')), ['abcd-efgh']],
  ['DATABASE', at('jdbc:postgresql', 'ada:abcd-efgh@h/main'), ['abcd-efgh', 'abcd-efgh']],
  ['DATABASE', named('host=h1,h2 user=ada password', 'abcd-efgh'), ['abcd-efgh']],
  ['OPTIONS', 'level=information', []],
  ['LABEL', 'key=production', []],
  ['GREETING', 'Dear all: welcome to the tool', []],
])('[S20] of %s = %s what is within is known', (name, value, credentials) => {
  expect(credentialsIn({ [name]: value })).toEqual(credentials);
});
