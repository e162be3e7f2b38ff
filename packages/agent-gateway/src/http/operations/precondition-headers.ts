import type { ApiHeader } from '@strata/shared/http/openapi-document.ts';

export const ifMatch: ApiHeader = {
  name: 'If-Match',
  isRequired: false,
  description: 'The ETag that was read: a change by somebody else since then is not overwritten.',
};
export const ifNoneMatch: ApiHeader = {
  name: 'If-None-Match',
  isRequired: false,
  description: '`*`: only where there is nothing yet.',
};
