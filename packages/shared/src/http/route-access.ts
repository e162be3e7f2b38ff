import type { SpanContext } from '@opentelemetry/api';
import type { ErrorRenderer } from '../errors/error-renderer.ts';
import type { Caller } from '../identity/caller.ts';

/** Who may call a route: anybody, the holder of a valid key or envelope, or the holder of an admin key. */
export type Access = 'public' | 'caller' | 'admin';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route must say this; one that does not cannot be registered. */
    access?: Access;
    /** The shape of errors on this route; the gateway's own shape otherwise. */
    errors?: ErrorRenderer;
    /** Whether an address that sends wrong keys is made to wait (S7). */
    holdOffGuesses?: boolean;
    /** The query parameter in which a client may send its key, for APIs whose clients do. It is never logged. */
    queryKey?: string | undefined;
    /** Whether the route says itself which of its fields holds U+0000, which no store of texts has to take. */
    checksTexts?: boolean;
    /** Exact media types of bodies that the route takes. `application/json` otherwise. */
    mediaTypes?: readonly string[];
  }
  interface FastifyRequest {
    /** Set before the handler on every route that is not public. */
    caller: Caller;
    /** The trace that the caller began, or a new one. */
    readonly traceContext: SpanContext;
    /**
     * Fires when the client leaves before its answer is complete, and at the end of the drain with the reason `draining`;
     * whoever streams then writes the terminal error of its protocol.
     */
    readonly gone: AbortSignal;
  }
}
