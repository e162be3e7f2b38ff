import type { JsonObject } from '../../domain/json-object.ts';
import { asObject, asObjects, asString } from '../read-json.ts';

/**
 * The machine-readable codes of a `google.rpc.Status`, in lower case: that a quota of the day is used up, the reason in its
 * details, its status.
 */
export function readErrorCodes(body: JsonObject): readonly string[] {
  const error = errorOf(body);
  const details = asObjects(error?.details);
  const isDaysQuota = details.flatMap(detail => asObjects(detail.violations)).some(isOfDay);
  const reasons = details.map(detail => asString(detail.reason));
  return [isDaysQuota ? 'quota_per_day' : undefined, ...reasons, asString(error?.status)].flatMap(code =>
    code === undefined ? [] : [code.toLowerCase()],
  );
}

/** `GenerateRequestsPerDayPerProjectPerModel-FreeTier`: it says to come back within a minute, and that is of no use. */
function isOfDay({ quotaId }: JsonObject): boolean {
  return asString(quotaId)?.includes('PerDay') ?? false;
}

/** `RetryInfo.retryDelay` in the details of an error: `"12s"`. In milliseconds. */
export function readRetryDelay(body: JsonObject): number | undefined {
  const details = asObjects(errorOf(body)?.details);
  const delay = details.map(detail => asString(detail.retryDelay)).find(each => each !== undefined);
  const seconds = /^(\d{1,6}(?:\.\d{1,9})?)s$/.exec(delay ?? '')?.[1];
  return seconds === undefined ? undefined : Math.ceil(Number(seconds) * 1000);
}

/** The body of an error answer. Vertex puts that of a stream into a list. */
export function parseErrorBody(bytes: Buffer): JsonObject {
  const text = bytes.toString('utf8');
  try {
    const body: unknown = JSON.parse(text);
    return asObject(body) ?? asObjects(body)[0] ?? {};
  } catch {
    return {}; // no JSON: the status says all there is
  }
}

function errorOf(body: JsonObject): JsonObject | undefined {
  return asObject(body.error) ?? asObject(Array.isArray(body.error) ? body.error[0] : undefined);
}
