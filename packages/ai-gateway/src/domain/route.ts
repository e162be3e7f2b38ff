import { nearestName } from '@strata/shared/config/problem.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { PriceList } from '@strata/shared/money/price.ts';
import type { Capabilities } from './capabilities.ts';
import type { Credential, ModelProvider } from './provider.ts';

/** One model at one provider, as a place where an attempt can go. */
export interface Target {
  /** `provider/model`: names breakers and metrics. */
  readonly id: string;
  readonly provider: ModelProvider;
  /** The provider's name of the model. */
  readonly model: string;
  readonly prices: PriceList | undefined;
  /** Share of the load among the neighbours that have one; undefined: its place in the list decides. */
  readonly weight: number | undefined;
}

/** A target with one of its provider's credentials: what circuits and pauses belong to. */
export function placeId(target: Target, credential: Credential): string {
  return credential.id === '' ? target.id : `${target.id}#${credential.id}`;
}

/**
 * The order in which one request tries the targets. Targets with a weight that stand next to each other are drawn by it; every
 * other target keeps its place. `random` gives numbers from 0 up to 1.
 */
export function orderTargets(targets: readonly Target[], random: () => number): readonly Target[] {
  if (targets.every(target => target.weight === undefined)) return targets;
  const ordered: Target[] = [];
  let group: Target[] = [];
  for (const target of [...targets, undefined]) {
    if (target?.weight !== undefined) {
      group.push(target);
      continue;
    }
    ordered.push(...drawAll(group, random));
    group = [];
    if (target !== undefined) ordered.push(target);
  }
  return ordered;
}

/** Each draw takes one out, with a chance that its weight gives it; those of weight 0 come last, in their order. */
function drawAll(targets: readonly Target[], random: () => number): Target[] {
  const left = [...targets];
  const drawn: Target[] = [];
  while (left.length > 0) {
    const total = left.reduce((sum, { weight = 0 }) => sum + weight, 0);
    const point = random() * total;
    let passed = 0;
    const at = left.findIndex(({ weight = 0 }) => {
      passed += weight;
      return point < passed;
    });
    drawn.push(...left.splice(Math.max(0, at), 1));
  }
  return drawn;
}

/** What clients call a model, and where its requests go, in order of preference. */
export interface Route {
  readonly alias: string;
  readonly targets: readonly Target[];
  /** What the configuration says of the model. */
  readonly declared?: Capabilities;
  readonly hedge?: Hedge;
}

/** When the next target is asked too, while the first has not answered. */
export interface Hedge {
  readonly afterMs: number;
  /** Of the requests, from 0 to 1. */
  readonly maxShare: number;
}

export type RouteTable = ReadonlyMap<string, Route>;

/** Whether the caller may use the alias. Asked again before every attempt (A13). */
export function mayUse(models: readonly string[], alias: string): boolean {
  return matchesScope(models, alias);
}

/**
 * The route for an alias. One that the caller may not use is answered like one that does not exist, so a key learns nothing
 * about models that are not its own.
 *
 * @throws GatewayError not_found (`model_not_found`) with the nearest names the caller may use.
 */
export function findRoute(table: RouteTable, alias: string, models: readonly string[]): Route {
  const route = table.get(alias);
  if (route !== undefined && mayUse(models, alias)) return route;
  throw unknownModel(table, alias, models);
}

/** The aliases that the caller may use, in the order of the configuration. */
export function visibleRoutes(table: RouteTable, models: readonly string[]): Route[] {
  return [...table.values()].filter(route => mayUse(models, route.alias));
}

/** The targets that a protocol can reach. @throws GatewayError invalid_request when there is none. */
export function targetsReached(
  route: Route,
  protocol: string,
  canReach: (provider: ModelProvider) => boolean,
): readonly Target[] {
  const reached = route.targets.filter(target => canReach(target.provider));
  if (reached.length > 0) return reached;
  throw new GatewayError(
    'invalid_request',
    `The model '${route.alias}' cannot be called in the protocol '${protocol}'. It speaks: ${protocolsOf(route).join(', ')}.`,
    { reason: 'model_speaks_other_protocol', param: 'model' },
  );
}

function protocolsOf(route: Route): string[] {
  return [...new Set(route.targets.flatMap(target => [...target.provider.speaks.keys()]))];
}

const maxNamesShown = 3;
const maxNameLength = 200;

function unknownModel(table: RouteTable, alias: string, models: readonly string[]): GatewayError {
  const known = visibleRoutes(table, models).map(route => route.alias);
  const near: string[] = [];
  if (alias.length <= maxNameLength) {
    for (let rest = known; near.length < maxNamesShown; rest = rest.filter(name => !near.includes(name))) {
      const name = nearestName(alias, rest);
      if (name === undefined) break;
      near.push(name);
    }
  }
  const hint =
    near.length > 0
      ? `Did you mean ${near.map(name => `'${name}'`).join(' or ')}?`
      : '`GET /v1/models` lists the models this key may use.';
  return new GatewayError(
    'not_found',
    `There is no model '${alias.slice(0, maxNameLength)}' for this key. ${hint}`,
    {
      reason: 'model_not_found',
      param: 'model',
      ...(near.length > 0 && { details: { nearest: near } }),
    },
  );
}
