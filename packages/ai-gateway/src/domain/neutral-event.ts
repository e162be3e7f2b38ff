import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { Citation, Part } from './neutral-request.ts';
import type { Seal } from './seal.ts';

/** Why an answer ended. `unknown` is whatever a vendor invents tomorrow; it ends an answer as `stop` does. */
export type FinishReason =
  | 'stop'
  | 'stop-sequence'
  | 'length'
  | 'context-full'
  | 'tool-calls'
  | 'filtered'
  | 'refused'
  | 'paused'
  | 'malformed-call'
  | 'unknown';

/** The beginning of a block. Its text comes in deltas. */
export type BlockStart =
  | { readonly kind: 'text' }
  | { readonly kind: 'refusal' }
  /** `seal` when it is known from the start, as that of redacted reasoning is. */
  | { readonly kind: 'reasoning'; readonly seal?: Seal | undefined }
  | {
      readonly kind: 'tool-call';
      readonly id: string;
      readonly name: string;
      readonly input: 'json' | 'text';
      /** Must be known at the start: clients without a field for it get it inside the id. */
      readonly seal?: Seal | undefined;
    }
  /** Whole at its start: an image the model made, a hosted tool's call. No deltas follow. */
  | { readonly kind: 'whole'; readonly part: Part };

export type BlockDelta =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'seal'; readonly seal: Seal }
  | { readonly type: 'citation'; readonly citation: Citation };

/**
 * What happens in an answer, in no protocol's words. A decoder may open several blocks at once and leave them open; the guard
 * (`guard-events.ts`) puts them in order before an encoder sees them. A whole answer is the fold over its events
 * (`fold-answer.ts`), so there is one path for both.
 */
export type NeutralEvent =
  | {
      readonly type: 'start';
      readonly id: string | undefined;
      readonly model: string | undefined;
      /** What the provider's first event knows of the input; the final counts come in `usage`. */
      readonly usage?: UsageReport | undefined;
    }
  | { readonly type: 'block-start'; readonly index: number; readonly block: BlockStart }
  | { readonly type: 'block-delta'; readonly index: number; readonly delta: BlockDelta }
  | { readonly type: 'block-stop'; readonly index: number }
  /** Cumulative: the last one counts. */
  | { readonly type: 'usage'; readonly report: UsageReport; readonly serviceTier?: string | undefined }
  | { readonly type: 'finish'; readonly reason: FinishReason; readonly stopSequence?: string | undefined }
  /** The upstream says that it failed. Nothing follows. `codes`: most specific first. */
  | { readonly type: 'error'; readonly codes: readonly string[] };

export interface NeutralAnswer {
  readonly id: string | undefined;
  readonly model: string | undefined;
  readonly parts: readonly Part[];
  readonly finish: FinishReason;
  readonly stopSequence: string | undefined;
  readonly report: UsageReport | undefined;
  readonly serviceTier: string | undefined;
}
