import { expect, test } from 'vitest';
import { withholdCredentials } from './withhold-credentials.ts';

test.each([
  ['Bearer abcdefgh', 'who is abcdefgh?', 'who is ***?'],
  ['Token abcdefgh', 'who is abcdefgh?', 'who is ***?'],
  ['abcdefgh', 'who is abcdefgh?', 'who is ***?'],
  [`Basic ${Buffer.from('ada:Grüße aus').toString('base64')}`, 'no such: Grüße aus', 'no such: ***'],
  ['Bearer abc', 'who is abc?', 'who is abc?'],
])('[S20] of "%s" nothing comes back', (header, said, heard) => {
  expect(withholdCredentials([header]).inBytes(Buffer.from(said)).toString()).toBe(heard);
});

test('[S20] one credential that is a part of another leaves nothing of it', () => {
  expect(withholdCredentials(['abcdefgh', 'abcdefgh-and-more']).inText('abcdefgh-and-more')).toBe('***');
});
