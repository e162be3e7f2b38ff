import type { Origin } from '@strata/shared/http/dialer.ts';

/** The one place the provider's credential may go. A slash at the end of the address makes no difference. */
export function originOf(options: { name: string; baseUrl: string; allowPrivate: boolean }): Origin {
  return {
    name: options.name,
    url: new URL(options.baseUrl.replace(/\/+$/, '')),
    allowPrivate: options.allowPrivate,
  };
}
