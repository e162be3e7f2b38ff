import { stringAt } from '@strata/shared/json/json-text.ts';
import { isObject } from '../../domain/capabilities.ts';
import type { RequestFrame, ResponseFrame } from '../../domain/frame.ts';
import { rawText } from '../frame.ts';

/** What `resultType` says; `complete` when it says nothing (2026-07-28, "Results"). */
export function resultTypeOf(frame: ResponseFrame): string {
  return stringAt(frame.bytes, frame.result?.members?.get('resultType')) ?? 'complete';
}

export function isInputRequired(frame: ResponseFrame): boolean {
  return frame.result !== undefined && resultTypeOf(frame) === 'input_required';
}

/** The state to send back, as raw JSON. */
export function requestStateOf(frame: ResponseFrame): string | undefined {
  const span = frame.result?.members?.get('requestState');
  return span && rawText(frame.bytes, span);
}

/** The questions, each as the raw JSON of an object. `undefined` when there are neither questions nor a state to go on with. */
export function inputRequestsOf(frame: ResponseFrame): { key: string; request: string }[] | undefined {
  const requests = frame.result?.members?.get('inputRequests');
  if (!requests) return requestStateOf(frame) === undefined ? undefined : [];
  if (!requests.members) return undefined;
  const list = [...requests.members].map(([key, span]) => ({ key, request: rawText(frame.bytes, span) }));
  return list.every(({ request }) => request.startsWith('{"') || /^\{\s*"/.test(request)) ? list : undefined;
}

/** Whether a client that came back with answers to questions has refused one of them (`decline`, `cancel`). */
export function isInputRefused(frame: RequestFrame): boolean {
  const responses = frame.params?.members?.get('inputResponses')?.members;
  return [...(responses?.values() ?? [])].some(span => {
    const response: unknown = JSON.parse(rawText(frame.bytes, span));
    return isObject(response) && (response.action === 'decline' || response.action === 'cancel');
  });
}
