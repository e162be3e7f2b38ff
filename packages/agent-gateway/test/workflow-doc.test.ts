import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

/** Every example of docs/workflows.md is a definition that is accepted. */

const page = readFileSync(join(import.meta.dirname, '../../../docs/workflows.md'), 'utf8');
const examples = [...page.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(match => match[1] ?? '');

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

test('the page has examples', () => {
  expect(examples.length).toBeGreaterThan(6);
});

test.each(examples)('%s', async text => {
  const members: unknown = parse(text);
  const body = Array.isArray(members) ? definitionOf(members) : members;
  const answer = await gateway.call('POST', '/v1/workflows:validate', { body });
  expect(answer.status, JSON.stringify(answer.body.errors)).toBe(200);
});
