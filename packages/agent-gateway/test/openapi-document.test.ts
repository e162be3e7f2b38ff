import { afterAll, beforeAll, expect, test } from 'vitest';
import { operations } from '../src/http/document-routes.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

/** `/v1/runs/:id` and `/v1/runs/{id}:cancel` are one route: the router takes the verb for a part of the parameter. */
const routeOf = (method: string, path: string) =>
  `${method.toUpperCase()} ${path
    .replaceAll(/\{[^}]+\}(:[a-z]+)?/g, '*')
    .replaceAll(/(?<=\/):[a-zA-Z]+/g, '*')
    .replace('::', ':')}`;

test('the document has every route of /v1, and no other', () => {
  const registered = gateway.routes
    .filter(({ url, method }) => url.startsWith('/v1/') && method !== 'HEAD' && method !== 'OPTIONS')
    .filter(({ url }) => url !== '/v1/openapi.json')
    .map(({ method, url }) => routeOf(method, url));
  const documented = Object.entries(gateway.openApi.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => routeOf(method, path)),
  );
  expect([...new Set(documented)].sort()).toEqual([...new Set(registered)].sort());
});

test('it is OpenAPI 3.1, with a name and a summary of its own for every operation', () => {
  const named = Object.values(gateway.openApi.paths).flatMap(path => Object.values(path));
  const ids = named.map(({ operationId }) => operationId);
  expect(gateway.openApi.openapi).toBe('3.1.0');
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBe(operations.length);
  expect(operations.every(({ summary }) => summary.length > 5)).toBe(true);
});

test('every parameter of a path is described', () => {
  for (const [path, methods] of Object.entries(gateway.openApi.paths)) {
    const names = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name).sort();
    for (const operation of Object.values(methods)) {
      const { parameters } = operation as unknown as { parameters: { name: string; in: string }[] }; // as it is served
      const described = parameters.filter(each => each.in === 'path').map(({ name }) => name);
      expect(described.sort(), path).toEqual(names);
    }
  }
});
