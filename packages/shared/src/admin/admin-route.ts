import type * as z from 'zod';
import type { AuditEvent } from '../audit/audit-record.ts';
import type { Caller } from '../identity/caller.ts';
import type { Role } from '../identity/tree.ts';
import type { JsonLimits } from '../json/parse-json.ts';

/** What a change concerns, for its audit entry. */
export interface ChangedTarget {
  readonly type: string;
  readonly id: string;
}

/** Joins a change with its audit entry in one transaction. Handed to the stores, which call `record` before they commit. */
export interface ChangeInTransaction<Changed> {
  readonly revision: number | undefined;
  /** The transaction of whichever store makes the change. */
  readonly record: (transaction: object, changed: Changed) => Promise<void>;
}

/** Who asks, for which organisation, and what goes with the answer. */
export interface AdminContext {
  readonly caller: Caller;
  /** The organisation that is asked about: the caller's own, unless it may act on all. */
  readonly tenant: string;
  /** The only team whose things the caller may see; undefined for roles that see the organisation. */
  readonly onlyTeam: string | undefined;
  /** For the one change of a route that changes something; `details` must hold no secrets. */
  change<Changed>(
    describe: (changed: Changed) => ChangedTarget & Pick<AuditEvent, 'details'>,
  ): ChangeInTransaction<Changed>;
  /** A position in a list as a text that opens only for this list, its filter and this organisation. */
  sealCursor(position: string): string;
  /** The position that the request's `cursor` names. */
  readonly position: string | undefined;
}

export interface AdminAnswer<Body> {
  readonly body: Body;
  /** Revision of what is shown: becomes the ETag. */
  readonly revision?: number;
}

/** A text or a stream of it, as it is, for routes with a media type of their own. */
export type TextAnswer = string | AsyncIterable<string>;

interface RouteShape<
  Params extends z.ZodObject,
  Query extends z.ZodObject,
  Body extends z.ZodType,
  Answer extends z.ZodType,
> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below `/admin/v1`, in Fastify's notation. */
  readonly path: string;
  /** Noun and verb: the operation's id, and the action of its audit entry. */
  readonly operation: string;
  readonly summary: string;
  /** Who may call it; nobody else. */
  readonly roles: readonly Role[];
  /** Only for keys that may act on the installation as a whole. */
  readonly installationOnly?: boolean;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  /** For bodies that are larger than those of other routes. */
  readonly bodyLimits?: JsonLimits;
  /** What it answers with; nothing for 204. */
  readonly answer?: Answer;
  readonly status?: 200 | 201 | 204;
  /** Media types of a text answer, chosen by the handler. */
  readonly textTypes?: readonly string[];
  /** Whether it changes something: then it is entered in the audit log and takes an `Idempotency-Key`. */
  readonly changes?: boolean;
  /** Whether `If-Match` must name the revision that the change was decided on. */
  readonly needsRevision?: boolean;
  handle(
    input: {
      readonly params: z.output<Params>;
      readonly query: z.output<Query>;
      readonly body: z.output<Body>;
    },
    context: AdminContext,
  ): Promise<AdminAnswer<z.input<Answer>> | { readonly text: TextAnswer; readonly type: string }>;
}

/** A route whose types are hidden, so that different ones fit in one list. */
export type AdminRoute = RouteShape<z.ZodObject, z.ZodObject, z.ZodType, z.ZodType>;

/** Binds the types of one route. */
export function defineRoute<
  Params extends z.ZodObject,
  Query extends z.ZodObject,
  Body extends z.ZodType,
  Answer extends z.ZodType,
>(route: RouteShape<Params, Query, Body, Answer>): AdminRoute {
  return route as unknown as AdminRoute; // its input is parsed by its own schemas before it is called
}
