import {
  JsonScanError,
  lastMember,
  type ScannedObject,
  scanObject,
  stringAt,
  valueAt,
} from '../domain/json-scan.ts';
import type { WholeAnswer } from '../domain/protocol.ts';
import type { UsageReport } from '../domain/usage.ts';
import { asObject } from './read-json.ts';

const answerLimits = { maxDepth: 512, maxNodes: 50_000_000 };

/** Which members of a whole answer say what, in one protocol. */
export interface AnswerShape {
  /** The key, anywhere in the answer, whose string value is the reason it finished. */
  readonly finishKey: string;
  readUsage(usage: Readonly<Record<string, unknown>>): UsageReport;
  readCodes(body: Readonly<Record<string, unknown>>): readonly string[];
}

/** Scans an answer for what it says about itself. Only the small members that matter are parsed. */
export function readWholeAnswer(body: Buffer, shape: AnswerShape): WholeAnswer {
  const scanned = tryScan(body);
  if (scanned === undefined) return { type: 'malformed' };
  const error = valueAt(body, lastMember(scanned, 'error'));
  if (error) return { type: 'error', codes: shape.readCodes({ error }) };
  const usage = asObject(valueAt(body, lastMember(scanned, 'usage')));
  return {
    type: 'answer',
    facts: {
      model: stringAt(body, lastMember(scanned, 'model')),
      finishReason: findFinish(body, shape.finishKey),
      report: usage && shape.readUsage(usage),
    },
  };
}

function tryScan(body: Buffer): ScannedObject | undefined {
  try {
    return scanObject(body, answerLimits);
  } catch (error) {
    if (error instanceof JsonScanError) return undefined;
    throw error;
  }
}

/** The last `"key":"value"` in the bytes. Inside a string the quotes would be escaped, so the model cannot write one. */
function findFinish(body: Buffer, key: string): string | undefined {
  const at = body.lastIndexOf(`"${key}"`);
  if (at === -1) return undefined;
  const match = /^\s*:\s*"([a-z_]{1,40})"/.exec(
    body.toString('latin1', at + key.length + 2, at + key.length + 60),
  );
  return match?.[1];
}
