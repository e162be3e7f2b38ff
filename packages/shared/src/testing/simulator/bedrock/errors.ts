import { ApiError, type Desk, type ModelEntry } from '../http/protocol.ts';

const types: Readonly<Record<number, string>> = {
  400: 'ValidationException',
  403: 'AccessDeniedException',
  404: 'ResourceNotFoundException',
  408: 'ModelTimeoutException',
  424: 'ModelErrorException',
  429: 'ThrottlingException',
  503: 'ServiceUnavailableException',
  529: 'ServiceUnavailableException',
};

export function errorType(status: number): string {
  return types[status] ?? (status >= 500 ? 'InternalServerException' : 'ValidationException');
}

export function bedrockHeaders(desk: Desk): Record<string, string> {
  return { 'x-amzn-requestid': desk.ids.uuid() };
}

/** @throws ApiError 400. */
export function modelOf(name: string, desk: Desk): ModelEntry {
  const model = desk.model(name);
  if (!model) throw new ApiError(400, 'The provided model identifier is invalid.');
  return model;
}
