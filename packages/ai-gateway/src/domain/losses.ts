import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** One parameter that did not reach the upstream as the client meant it. */
export interface Loss {
  /** As the neutral model or the client names it: `seed`, `messages.audio`, `tools.web_search`. */
  readonly parameter: string;
  readonly action: 'dropped' | 'changed';
}

/** Collects what a translation could not keep, once a parameter. Nothing is lost in silence. */
export class Losses {
  readonly #found = new Map<string, Loss>();

  dropped(parameter: string): void {
    this.#found.set(parameter, { parameter, action: 'dropped' });
  }

  changed(parameter: string): void {
    if (!this.#found.has(parameter)) this.#found.set(parameter, { parameter, action: 'changed' });
  }

  get all(): readonly Loss[] {
    return [...this.#found.values()];
  }
}

const maxHeaderLength = 2048;

/** `seed=dropped, reasoning.effort=changed`: the value of `x-strata-changed`. Names come from clients, so they are cleaned. */
export function describeLosses(losses: readonly Loss[]): string {
  const text = losses
    .map(({ parameter, action }) => `${parameter.replace(/[^\w.:[\]-]/g, '_').slice(0, 100)}=${action}`)
    .join(', ');
  return text.length <= maxHeaderLength ? text : `${text.slice(0, maxHeaderLength - 3)}...`;
}

/** For an operator who wants a refusal where `report` would only tell. */
export function lossesRefused(losses: readonly Loss[], target: string): GatewayError {
  const names = losses.map(loss => loss.parameter);
  return new GatewayError(
    'invalid_request',
    `'${target}' cannot take: ${names.join(', ')}. Leave them out, or have the operator set \`on_unsupported: report\`.`,
    {
      reason: 'parameter_unsupported',
      ...(names[0] !== undefined && { param: names[0] }),
      details: { parameters: losses },
    },
  );
}
