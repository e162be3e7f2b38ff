import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { root, runProgram } from './smoke.ts';

const directory = mkdtempSync(join(tmpdir(), 'strata-secrets-'));
afterAll(() => rmSync(directory, { recursive: true }));

const scan = (file: string) =>
  runProgram(
    ['node_modules/secretlint/bin/secretlint.js', '--secretlintrc', join(root, '.secretlintrc.json'), file],
    {},
  );
const letters = (count: number) => 'Qx7Kp2Vn9Zt4Wm8Rb3Yc6Hd1Jf5Lg0Ns'.repeat(3).slice(0, count);

/** In two parts, so that this file has none. */
const leaks: Readonly<Record<string, string>> = {
  'our own key': `sk-strata-${'canaryx7k2m9q4w8r3t6y1z5a0s2d4f6g8h1j3n5'}`,
  'a GitHub token': `ghp_${letters(36)}`,
  'an AWS access key id': `AKIA${'IOSFODNN7ABCDEFG'}`,
  'an Anthropic key': `sk-ant-api03-${letters(93)}AA`,
  'a private key': `-----BEGIN ${'PRIVATE KEY-----'}\n${letters(64)}\n${letters(64)}\n-----END PRIVATE KEY-----`,
};

test.each(Object.keys(leaks))('[S25] %s in a file is found, and not shown', async name => {
  const file = join(directory, `${name}.ts`);
  const secret = leaks[name] ?? '';
  writeFileSync(file, `const value = \`${secret}\`;\n`);
  const { code, output } = await scan(file);
  expect(code, output).toBe(1);
  expect(output).not.toContain(secret);
});

test('[S25] what is no secret is not taken for one', async () => {
  const file = join(directory, 'plain.ts');
  writeFileSync(file, "const prefix = 'sk-strata-'; const hash = 'a'.repeat(64);\n");
  const { code, output } = await scan(file);
  expect(code, output).toBe(0);
});
