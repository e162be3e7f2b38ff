import { canonicalJson } from '@strata/shared/json/canonical-json.ts';
import type { CloudEvent } from './run-events.ts';

/** An event that came for a schedule which begins with several. */
export interface WaitingEvent {
  /** The same however often it comes. */
  readonly id: string;
  readonly event: CloudEvent;
  /** The filters that let it through, with what it has in common with the events that belong to it. */
  readonly fits: readonly { readonly filter: number; readonly keys: Readonly<Record<string, unknown>> }[];
}

/** What has come and begun no run yet, and what began the last ones. */
export interface CollectedEvents {
  readonly waiting: readonly WaitingEvent[];
  readonly used: readonly string[];
}

export const noEvents: CollectedEvents = { waiting: [], used: [] };

/** More than that wait for nothing that will come: the oldest go. */
const maxWaiting = 200;
const maxUsed = 1000;

export const withEvent = ({ waiting, used }: CollectedEvents, event: WaitingEvent): CollectedEvents => ({
  waiting: [...waiting, event].slice(-maxWaiting),
  used,
});

export function withoutGroup(
  { waiting, used }: CollectedEvents,
  group: readonly WaitingEvent[],
): CollectedEvents {
  const ids = group.map(({ id }) => id);
  return {
    waiting: waiting.filter(({ id }) => !ids.includes(id)),
    used: [...used, ...ids].slice(-maxUsed),
  };
}

interface Group {
  readonly events: Map<number, WaitingEvent>;
  readonly keys: Record<string, unknown>;
}

/**
 * The first events that together have one for every filter, in the order of the filters. Each event goes to the oldest group that
 * needs it, so that what comes later changes nothing about a group that is whole.
 */
export function firstGroup(
  waiting: readonly WaitingEvent[],
  filterCount: number,
): readonly WaitingEvent[] | undefined {
  const groups: Group[] = [];
  for (const each of waiting) {
    const group = join(each, groups);
    if (group?.events.size === filterCount)
      return [...group.events].toSorted(([left], [right]) => left - right).map(([, event]) => event);
  }
  return undefined;
}

function join(event: WaitingEvent, groups: Group[]): Group | undefined {
  for (const group of groups) {
    const fit = event.fits.find(({ filter, keys }) => !group.events.has(filter) && agrees(group, keys));
    if (fit === undefined) continue;
    group.events.set(fit.filter, event);
    Object.assign(group.keys, fit.keys);
    return group;
  }
  const [fit] = event.fits;
  if (fit === undefined) return undefined;
  const group = { events: new Map([[fit.filter, event]]), keys: { ...fit.keys } };
  groups.push(group);
  return group;
}

function agrees({ keys: known }: Group, keys: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(keys).every(
    ([key, value]) => !Object.hasOwn(known, key) || canonicalJson(known[key]) === canonicalJson(value),
  );
}
