import type { Scopes } from './scopes.ts';
import { intersectScopes } from './scopes.ts';
import type { TreePath } from './tree.ts';

export const gatewayNames = ['ai-gateway', 'mcp-gateway', 'agent-gateway'] as const;
export type GatewayName = (typeof gatewayNames)[number];

/** The header in which one gateway hands the envelope to the next. */
export const envelopeHeader = 'x-strata-envelope';

/** How long a token lives. Short, because it is verified offline. */
export const envelopeLifetimeMs = 5 * 60_000;

/** How many gateways and agents may call one another in a row before the chain is refused. */
export const maxEnvelopeDepth = 16;

/** The budget that the calls below may spend, drawn from a grant of the ledger. */
export interface EnvelopeGrant {
  readonly id: string;
  readonly remainingNanoUsd: bigint;
}

/**
 * The one envelope that travels down the layers: who asked, through which agents, for which run and task, and what
 * remains allowed. Carried as a JWT with an `act` chain (RFC 8693 section 4.1). Scopes, grant, deadline and depth only shrink.
 */
export interface Envelope extends Omit<TreePath, 'principal'> {
  /** The gateway that signed it. */
  readonly issuer: GatewayName;
  /** The principal that asked first. */
  readonly subject: string;
  readonly keyId: string | undefined;
  /** Tags of the key, by which its use is booked. */
  readonly tags: readonly string[];
  /** Who acts for the subject, newest first: `agent:triage`, `workflow:support/ticket-triage`. */
  readonly actors: readonly string[];
  readonly scopes: Scopes;
  readonly grant: EnvelopeGrant | undefined;
  readonly runId: string | undefined;
  readonly taskId: string | undefined;
  /** Wall clock milliseconds after which the call is of no use to anybody. */
  readonly deadlineAtMs: number | undefined;
  /** Calls that may still follow one another below this one. */
  readonly depth: number;
  /** Signed by a gateway that shares no store with this one: its keys and principals are not known here. */
  readonly isForeign?: true;
}

export interface Narrowing {
  readonly actor?: string;
  readonly scopes?: Scopes;
  readonly grant?: EnvelopeGrant;
  readonly runId?: string;
  readonly taskId?: string;
  readonly deadlineAtMs?: number;
  readonly depth?: number;
}

/**
 * The envelope for the next hop. What it allows is never more than what the parent allows (W7): scopes are intersected, the smaller grant
 * and the earlier deadline win, depth falls by at least one.
 */
export function narrow(parent: Envelope, change: Narrowing): Envelope {
  return {
    ...parent,
    actors: change.actor === undefined ? parent.actors : [change.actor, ...parent.actors],
    scopes: change.scopes === undefined ? parent.scopes : intersectScopes(parent.scopes, change.scopes),
    grant: smallerGrant(parent.grant, change.grant),
    runId: change.runId ?? parent.runId,
    taskId: change.taskId ?? parent.taskId,
    deadlineAtMs: earlier(parent.deadlineAtMs, change.deadlineAtMs),
    depth: Math.min(parent.depth - 1, change.depth ?? Number.POSITIVE_INFINITY),
  };
}

/** A grant drawn from the parent's may name itself, but never holds more than the parent's has left. */
function smallerGrant(
  parent: EnvelopeGrant | undefined,
  child: EnvelopeGrant | undefined,
): EnvelopeGrant | undefined {
  if (parent === undefined || child === undefined) return child ?? parent;
  const isMore = child.remainingNanoUsd > parent.remainingNanoUsd;
  return { id: child.id, remainingNanoUsd: isMore ? parent.remainingNanoUsd : child.remainingNanoUsd };
}

function earlier(left: number | undefined, right: number | undefined): number | undefined {
  if (left === undefined) return right;
  if (right === undefined) return left;
  return Math.min(left, right);
}
