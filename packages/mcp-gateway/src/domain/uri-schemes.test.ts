import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSchemeAllowed } from './uri-schemes.ts';

test('[M24] a scheme is allowed when it is listed, however it is written, and nothing that only looks like it', () => {
  for (const uri of ['ui://a', 'UI://a', 'Ui:a', 'ui:{x}'])
    expect(isSchemeAllowed(uri, ['ui']), uri).toBe(true);
  for (const uri of [
    'file:///etc/passwd',
    'FILE:///etc/passwd',
    'file:../../etc/passwd',
    'ui+file:///x',
    'uix://a',
    ' ui://a',
    '\tui://a',
    '\u0000ui://a',
    'u\u200bi://a',
    'ui%3a//a',
    'ui',
    '//ui:a',
    '../ui:a',
    '{scheme}://a',
    'javascript:ui:',
    '',
  ]) {
    expect(isSchemeAllowed(uri, ['ui']), uri).toBe(false);
  }
});

test('[M24] without a list every URI is allowed, with an empty one none', () => {
  fc.assert(
    fc.property(fc.string(), uri => {
      expect(isSchemeAllowed(uri, undefined)).toBe(true);
      expect(isSchemeAllowed(uri, [])).toBe(false);
    }),
  );
});
