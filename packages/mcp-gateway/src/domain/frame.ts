import type { Span } from '@strata/shared/json/json-text.ts';

/**
 * One JSON-RPC 2.0 message, as the bytes that came in and the places of the parts a proxy reads. Nothing else is
 * decoded: what a frame carries in `arguments` or `result` leaves as it came. Read by `wire/frame.ts`.
 */
export type Frame = RequestFrame | NotificationFrame | ResponseFrame;

/** Where a JSON value lies; an object that was asked for also tells where its members' values lie. */
export interface ScannedValue extends Span {
  readonly members?: ReadonlyMap<string, ScannedValue>;
}

export interface RequestFrame {
  readonly kind: 'request';
  readonly bytes: Buffer;
  readonly id: Span;
  readonly method: string;
  readonly params: ScannedValue | undefined;
  /** The whole message, for edits that add a member. */
  readonly whole: ScannedValue;
}

export interface NotificationFrame {
  readonly kind: 'notification';
  readonly bytes: Buffer;
  readonly method: string;
  readonly params: ScannedValue | undefined;
}

export interface ResponseFrame {
  readonly kind: 'response';
  readonly bytes: Buffer;
  /** May be `null` in the bytes: an error about a message whose id could not be read. */
  readonly id: Span;
  readonly result: ScannedValue | undefined;
  readonly error: ScannedValue | undefined;
}

/** What is wrong with a message, in terms of the error to answer. */
export interface BadFrame {
  readonly kind: 'bad';
  readonly code: -32700 | -32600;
  readonly reason: 'frame_syntax' | 'frame_limits' | 'frame_ambiguous' | 'frame_envelope';
  readonly message: string;
  /** The raw id, when the message had a readable one. */
  readonly id: Buffer | undefined;
  /** It names no method: with an id, it was to be an answer. */
  readonly isAnswer: boolean;
}
