import type { FastifyInstance, FastifyRequest } from 'fastify';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Authenticate, Caller } from '../identity/caller.ts';
import type { GuessGuard } from './guess-guard.ts';
import type { LoadShedder } from './load-shedder.ts';
import { jsonOnly, requireMediaType } from './media-type.ts';
import { pathInvalid } from './not-found.ts';
import { credentialHeaders } from './query-key.ts';
import type { Access } from './route-access.ts';

export interface DoorDeps {
  readonly shedder: LoadShedder;
  readonly authenticate: Authenticate;
  readonly guesses: GuessGuard;
  /** @throws GatewayError when the request is for a host that this server is not. */
  checkHost(host: string | undefined): void;
  isDraining(): boolean;
  /** Told of every request whose caller is known. */
  onCaller(request: FastifyRequest): void;
}

/** Everything that can be refused is refused here, before a byte of the body is read. */
export function addDoor(app: FastifyInstance, deps: DoorDeps): void {
  const { shedder } = deps;
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    if (deps.isDraining()) void reply.header('connection', 'close');
    const { config: route, url } = request.routeOptions;
    const access = route.access ?? 'public';
    try {
      deps.checkHost(request.headers.host);
      if (url !== undefined) requireMediaType(request.headers, route.mediaTypes ?? jsonOnly);
      if (access === 'public') {
        done();
        return;
      }
      shedder.admit();
      reply.raw.once('close', () => shedder.release());
    } catch (error) {
      done(GatewayError.from(error));
      return;
    }
    callerOf(request, deps).then(
      caller => {
        request.caller = caller;
        deps.onCaller(request);
        done(problemOf(request, access));
      },
      (error: unknown) => done(GatewayError.from(error)),
    );
  });
}

/** U+0000 is refused here, but where a route says itself in which of its fields it stands: no store of texts has to take it. */
function problemOf({ caller, url, routeOptions }: FastifyRequest, access: Access): GatewayError | undefined {
  if (access === 'admin' && !caller.isAdmin) return adminOnly();
  return routeOptions.config.checksTexts !== true && url.includes('%00') ? pathInvalid() : undefined;
}

async function callerOf(request: FastifyRequest, { authenticate, guesses }: DoorDeps): Promise<Caller> {
  const { config: route } = request.routeOptions;
  if (route.holdOffGuesses !== true) return authenticate(credentialHeaders(request, route.queryKey));
  await guesses.begin(request);
  try {
    const caller = await authenticate(credentialHeaders(request, route.queryKey));
    guesses.ended(request, 'right');
    return caller;
  } catch (error) {
    const { kind, reason } = GatewayError.from(error);
    guesses.ended(request, kind === 'unauthenticated' && reason !== 'key_missing' ? 'wrong' : 'unknown');
    throw error;
  }
}

function adminOnly(): GatewayError {
  return new GatewayError('permission_denied', 'This route needs an admin key.', {
    reason: 'admin_required',
  });
}
