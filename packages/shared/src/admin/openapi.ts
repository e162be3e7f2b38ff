import { type ApiHeader, type ApiOperation, openApiDocument } from '../http/openapi-document.ts';
import { querySchema } from './admin-request.ts';
import type { AdminRoute } from './admin-route.ts';

/** The OpenAPI document of the admin API. */
export function adminDocument(routes: readonly AdminRoute[], prefix: string) {
  const operations = routes.map(route => operationOf(route, prefix));
  return openApiDocument(operations, { title: 'Strata admin API', key: 'A Strata key with a role.' });
}

function operationOf(route: AdminRoute, prefix: string): ApiOperation {
  return {
    method: route.method.toLowerCase() as Lowercase<AdminRoute['method']>,
    path: `${prefix}${route.path}`.replaceAll(/:([A-Za-z_]+)/g, '{$1}'),
    id: route.operation,
    summary: route.summary,
    description: `Roles: ${route.roles.join(', ')}${route.installationOnly === true ? ', of a key of the installation' : ''}.`,
    params: route.params,
    query: querySchema(route),
    headers: route.changes === true ? headersOf(route) : undefined,
    body: route.body && { schema: route.body },
    answers: {
      [String(route.status ?? 200)]: route.answer && { schema: route.answer, textTypes: route.textTypes },
    },
  };
}

function headersOf(route: AdminRoute): ApiHeader[] {
  return [
    {
      name: 'Idempotency-Key',
      isRequired: false,
      description: 'Sent again with the same key and request, the change is made once.',
    },
    {
      name: 'If-Match',
      isRequired: route.needsRevision === true,
      description: 'The ETag that the change was decided on.',
    },
  ];
}
