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
