import type { ErrorRenderer } from '../errors/error-renderer.ts';
import { GatewayError } from '../errors/gateway-error.ts';

export interface KnownRoute {
  readonly method: string;
  readonly pattern: RegExp;
  readonly errors: ErrorRenderer | undefined;
}

/** `/v1/runs/:id::cancel` as a regular expression; find-my-way writes a literal colon as two. */
export function routePattern(url: string): RegExp {
  const source = url
    .replaceAll('::', '\0')
    .split(/(:[A-Za-z_]+|\*)/)
    .map(part => {
      if (part === '*') return '.*';
      return part.startsWith(':') ? '[^/]+' : RegExp.escape(part.replaceAll('\0', ':'));
    })
    .join('');
  return new RegExp(`^${source}$`);
}

/** Says whether a path is unknown or only its method, and in whose shape to say it. */
export function explainNotFound(
  routes: readonly KnownRoute[],
  method: string,
  path: string,
): { error: GatewayError; allow: string | undefined; errors: ErrorRenderer | undefined } {
  const samePath = routes.filter(route => route.pattern.test(path));
  const errors = samePath[0]?.errors ?? closestErrors(routes, path);
  if (samePath.length === 0) {
    const error = new GatewayError('not_found', `There is nothing at ${method} ${path.slice(0, 200)}.`, {
      reason: 'unknown_route',
    });
    return { error, allow: undefined, errors };
  }
  const allow = [...new Set(samePath.map(route => route.method))].join(', ');
  const error = new GatewayError(
    'method_not_allowed',
    `${path.slice(0, 200)} takes ${allow}, not ${method}.`,
    {
      reason: 'method_not_allowed',
    },
  );
  return { error, allow, errors };
}

/** An unknown path under a known one (`/v1/messages/x`) is answered in the shape of its neighbour. */
function closestErrors(routes: readonly KnownRoute[], path: string): ErrorRenderer | undefined {
  for (let parent = path; parent.includes('/', 1); parent = parent.slice(0, parent.lastIndexOf('/'))) {
    const route = routes.find(each => each.pattern.test(parent));
    if (route !== undefined) return route.errors;
  }
  return undefined;
}

export function pathInvalid(cause?: Error): GatewayError {
  return new GatewayError('invalid_request', 'The path is not valid.', { reason: 'path_invalid', cause });
}
