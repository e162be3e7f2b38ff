import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { withholdCredentials } from './withhold-credentials.ts';

test.each([
  ['Bearer abcdefgh', 'who is abcdefgh?', 'who is ***?'],
  ['Token abcdefgh', 'who is abcdefgh?', 'who is ***?'],
  ['abcdefgh', 'who is abcdefgh?', 'who is ***?'],
  [`Basic ${Buffer.from('ada:Grüße aus').toString('base64')}`, 'no such: Grüße aus', 'no such: ***'],
  ['Bearer abc', 'who is abc?', 'who is abc?'],
  ['Bearer  abcdefgh', 'who is abcdefgh?', 'who is ***?'],
])('[S20] of "%s" nothing comes back', (header, said, heard) => {
  expect(withholdCredentials([header]).inBytes(Buffer.from(said)).toString()).toBe(heard);
});

test('[S20] one credential that is a part of another leaves nothing of it', () => {
  expect(withholdCredentials(['abcdefgh', 'abcdefgh-and-more']).inText('abcdefgh-and-more')).toBe('***');
});

const odd = 'a+b/c=d e"f\\\\&<g>\u00fc\u{1f600}\r\n\t\b\f-hijk';

test.each([
  ['as it is', odd],
  ['in a query', encodeURIComponent(odd)],
  ['in a query, in lower case', encodeURIComponent(odd).toLowerCase()],
  ['in a form', new URLSearchParams([['', odd]]).toString().slice(1)],
  ['in a query of a query', encodeURIComponent(encodeURIComponent(odd))],
  ['in JSON', JSON.stringify(odd)],
  ['in JSON within JSON', JSON.stringify(JSON.stringify(odd))],
  ['in JSON of PHP', JSON.stringify(odd).replaceAll('/', '\\/')],
  [
    'in JSON of all ASCII',
    JSON.stringify(odd).replace(
      /[^ -~]|[+&<>]/g,
      each => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  ],
  [
    'in HTML',
    odd.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;'),
  ],
])('[S20] a credential comes back in no form: %s', (_form, said) => {
  const withheld = withholdCredentials([`Bearer-ish ${odd}`, `Token ${odd}`]);
  const heard = withheld.inBytes(Buffer.from(`<${said}>`)).toString();
  expect(heard).toMatch(/^<"?(\\")?\*\*\*(\\")?"?>$/);
  expect(withheld.inText(`<${said}>`)).toBe(heard);
});

test('[S20] JSON stays JSON: only texts are looked into, and no escape is cut', () => {
  const json = (value: string, credential: string) =>
    withholdCredentials([credential]).inJson(Buffer.from(value)).toString();
  expect(json('{"id":123456,"saw":"123456","123456":1}', '123456')).toBe('{"id":123456,"saw":"***","***":1}');
  expect(json('{"a":"\\nabcdef nabcdef"}', 'nabcdef')).toBe('{"a":"\\nabcdef ***"}');
  expect(json('{"a":"\\u00e9abcdef"}', 'e9abcdef')).toBe('{"a":"\\u00e9abcdef"}');
  expect(json('{"a":"\\"quoted\\\\"}', '"quoted\\')).toBe('{"a":"***"}');
});

test('[S20] of a credential of several lines no long line comes back either', () => {
  const key =
    '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\n-----END PRIVATE KEY-----\n';
  const withheld = withholdCredentials([key]);
  expect(withheld.inText('line 2 (9w0BAQEFAASCBKcwggSj) is wrong')).toBe('line 2 (***) is wrong');
  expect(withheld.inText('-----BEGIN PRIVATE KEY-----')).toBe('-----BEGIN PRIVATE KEY-----');
  const nested = JSON.stringify({ said: JSON.stringify({ key }) });
  expect(JSON.parse(withheld.inJson(Buffer.from(nested)).toString())).toEqual({ said: '{"key":"***"}' });
});

test('a credential of one word is neither a name, nor a method, nor the scheme of an address', () => {
  const json = (value: string, credential: string) =>
    withholdCredentials([credential]).inJson(Buffer.from(value)).toString();
  const answer = '{"result":{"resultType":"x","said":"the result"},"jsonrpc":"2.0"}';
  expect(json(answer, 'result')).toBe('{"result":{"resultType":"x","said":"the ***"},"jsonrpc":"2.0"}');
  const note = '{"method":"notifications/message","params":{"data":"notifications"}}';
  expect(json(note, 'notifications')).toBe('{"method":"notifications/message","params":{"data":"***"}}');
  expect(json('{"uri":"postgres://db/t","a":"postgres:x"}', 'postgres')).toBe(
    '{"uri":"postgres://db/t","a":"***:x"}',
  );
});

test('[S20] a text that nearly holds a credential is looked through in one pass', () => {
  const withheld = withholdCredentials(['"+"+"+"+', 'x'.repeat(4) + '\\'.repeat(30)]);
  for (const said of [
    '\\'.repeat(1e6),
    `xxxx${'\\'.repeat(119)}`.repeat(1e4),
    '"+'.repeat(3).repeat(1e5),
    '%25'.repeat(1e6),
  ]) {
    const startedMs = process.cpuUsage().user / 1000;
    withheld.inBytes(Buffer.from(said));
    withheld.inJson(Buffer.from(`"${said}"`));
    expect(process.cpuUsage().user / 1000 - startedMs).toBeLessThan(2000);
  }
});

test.each(['inText', 'inBytes', 'inJson'] as const)(
  '[S20] backslashes before quotes have one reading each, however many there are: %s',
  where => {
    const credential = `abcd${'\\"'.repeat(40)}wxyz`;
    const withheld = withholdCredentials([credential]);
    const heardOf = (said: string) =>
      where === 'inText' ? withheld.inText(said) : withheld[where](Buffer.from(said)).toString();
    const nearly = `"abcd${'\\\\\\"'.repeat(40)}"`;
    const startedMs = process.cpuUsage().user / 1000;
    expect(heardOf(nearly)).toBe(nearly);
    expect(process.cpuUsage().user / 1000 - startedMs).toBeLessThan(2000);
    expect(heardOf(JSON.stringify(credential))).toBe('"***"');
  },
);

test.each(['\\\\&quot;', '\\\\%22', '\\\\\\"', '\\\\\\u0022', '%5c\\"', '\\u005c%22', '\\\\\\\\\\\\\\"'])(
  '[S20] a backslash and a quote that stand as %s in JSON are withheld',
  said => {
    const json = Buffer.from(`{"a":"<abcd${said}wxyz>"}`);
    expect(withholdCredentials(['abcd\\"wxyz']).inJson(json).toString()).toBe('{"a":"<***>"}');
  },
);

test('[S20] a credential read from a file is withheld without the line break at its end', () => {
  const withheld = withholdCredentials(['Bearer hunter2-xyz\r\n', '\nhunter3-xyz\n\n']);
  expect(withheld.inText('neither hunter2-xyz nor hunter3-xyz')).toBe('neither *** nor ***');
});

test('[S20] a long credential of letters is no word: it is withheld as a name, a method and a scheme, too', () => {
  const json = (letters: string) =>
    withholdCredentials([letters])
      .inJson(Buffer.from(`{"${letters}":"${letters}://x","method":"${letters}/list"}`))
      .toString();
  expect(json(`${'abcdefghij'.repeat(2)}k`)).toBe('{"***":"***://x","method":"***/list"}');
  expect(json('abcdefghij'.repeat(2))).toContain('{"abcdefghijabcdefghij":');
});

test('[S20] of a credential that is JSON no line is withheld, and of one that only begins so each long one is', () => {
  const account = JSON.stringify({ type: 'service_account', universe: 'example.com' }, undefined, 2);
  const withheld = withholdCredentials([`${account}\n`]);
  expect(withheld.inText('{\n  "type": "service_account",\n}')).toBe('{\n  "type": "service_account",\n}');
  expect(withheld.inText(`got ${account}!`)).toBe('got ***!');
  const settings = withholdCredentials(['[default]\nsecret_key = abcd-efgh-ijkl\n']);
  expect(settings.inText('bad line: secret_key = abcd-efgh-ijkl')).toBe('bad line: ***');
});

test('[S20] any JSON text stays one, whatever the credential is', () => {
  const unit = fc.constantFrom(
    'a',
    '1',
    '"',
    '\\',
    '/',
    'u',
    'n',
    't',
    '\n',
    '\t',
    '%',
    ' ',
    '\u00e9',
    '\ud800',
    '\u0001',
  );
  const text = fc.array(unit, { maxLength: 30 }).map(each => each.join(''));
  fc.assert(
    fc.property(text, text, fc.boolean(), (secret, around, isNested) => {
      const value = isNested ? JSON.stringify({ [secret]: [around + secret] }) : around + secret + around;
      const json = JSON.stringify({ value, [secret]: 123456 });
      const heard = withholdCredentials([secret]).inJson(Buffer.from(json)).toString();
      expect(() => JSON.parse(heard)).not.toThrow();
      // A word is left where it is a name.
      if (secret.length >= 6 && !/^[A-Za-z]{1,20}$/.test(secret))
        expect(heard).not.toContain(JSON.stringify(secret).slice(1, -1));
    }),
  );
});
