import type { Loss } from './losses.ts';
import type { Seal } from './seal.ts';

/**
 * One request in no protocol's words. Every protocol reads its own requests into it and writes them from it, so that N
 * protocols need no N² translators. What it has no place for stays in `unknown` and is reported when it cannot be sent on.
 */
export interface NeutralRequest {
  /** Who wrote it. `unknown` members, foreign parts and hosted tools mean something there only. */
  readonly protocol: string;
  readonly model: string;
  readonly isStream: boolean;
  /** System prompt, in order; `developer` messages are part of it. */
  readonly system: readonly TextPart[];
  readonly messages: readonly Message[];
  readonly tools: readonly Tool[];
  readonly toolChoice?: ToolChoice | undefined;
  /** Undefined: as the provider does by itself. */
  readonly isParallel?: boolean | undefined;
  readonly format?: AnswerFormat | undefined;
  readonly reasoning?: ReasoningOptions | undefined;
  readonly sampling: Sampling;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Who the end user is, for abuse detection. */
  readonly user?: string | undefined;
  /** In OpenAI's words: `auto`, `default`, `flex`, `priority`. */
  readonly serviceTier?: string | undefined;
  readonly promptCacheKey?: string | undefined;
  /** How wordy: `low`, `medium`, `high`. */
  readonly verbosity?: string | undefined;
  /** Members of the client's request that mean nothing in other protocols, by their own names. */
  readonly unknown: Readonly<Record<string, unknown>>;
  /** What was lost in the reading itself: below the outermost members nothing is kept that this model has no place for. */
  readonly lost?: readonly Loss[] | undefined;
  /** As the client wrote it, for protocols whose answers repeat the request. */
  readonly written?: Readonly<Record<string, unknown>> | undefined;
}

export interface Sampling {
  readonly maxTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly seed?: number | undefined;
  readonly presencePenalty?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
}

export interface Message {
  readonly role: 'user' | 'assistant';
  readonly parts: readonly Part[];
}

/** The provider's prompt cache may end here. */
export interface CacheMark {
  readonly ttl: '5m' | '1h' | undefined;
}

interface Marked {
  readonly cache?: CacheMark | undefined;
}

export interface TextPart extends Marked {
  readonly type: 'text';
  readonly text: string;
  readonly citations?: readonly Citation[] | undefined;
  /** Gemini signs any part. */
  readonly seal?: Seal | undefined;
}

/** Where bytes are. `data` is base64. `file` is an id at the provider, which no other provider knows. */
export type Source =
  | { readonly type: 'data'; readonly mediaType: string; readonly data: string }
  | { readonly type: 'url'; readonly url: string; readonly mediaType?: string | undefined }
  | { readonly type: 'file'; readonly id: string; readonly protocol: string }
  | { readonly type: 'text'; readonly text: string };

/** An image, a document (PDF, text), a sound or a video. */
export interface MediaPart extends Marked {
  readonly type: 'image' | 'document' | 'audio' | 'video';
  readonly source: Source;
  readonly name?: string | undefined;
  /** Images: OpenAI's `low`, `high`, `auto`, `original`. */
  readonly detail?: string | undefined;
  readonly context?: string | undefined;
  readonly wantsCitations?: boolean | undefined;
}

export interface ToolCallPart extends Marked {
  readonly type: 'tool-call';
  readonly id: string;
  readonly name: string;
  /** `json`: an object as JSON text, byte for byte as the model wrote it. `text`: free text for a custom tool. */
  readonly input: 'json' | 'text';
  readonly arguments: string;
  readonly seal?: Seal | undefined;
}

export interface ToolResultPart extends Marked {
  readonly type: 'tool-result';
  readonly callId: string;
  /** The tool's name, found in the call it answers. */
  readonly name: string | undefined;
  readonly input: 'json' | 'text';
  readonly parts: readonly (TextPart | MediaPart | ForeignPart)[];
  readonly isError: boolean;
}

/** A model's reasoning. `text` may be empty when only its seal was given. */
export interface ReasoningPart {
  readonly type: 'reasoning';
  readonly text: string;
  readonly seal?: Seal | undefined;
}

export interface RefusalPart {
  readonly type: 'refusal';
  readonly text: string;
}

/** A part only its own protocol understands: a hosted tool's call, a search result. */
export interface ForeignPart {
  readonly type: 'foreign';
  readonly protocol: string;
  /** What it is called there, for the report. */
  readonly name: string;
  readonly value: unknown;
  /** What it says, for protocols that can be told only that. */
  readonly text?: string | undefined;
}

export type Part =
  | TextPart
  | MediaPart
  | ToolCallPart
  | ToolResultPart
  | ReasoningPart
  | RefusalPart
  | ForeignPart;

/** Where in a document of the request, or in a search result of it, counted as the request has them. The end is not part of it. */
export interface CitationPlace {
  readonly unit: 'characters' | 'pages' | 'blocks' | 'blocks-of-search-result';
  readonly index: number;
  readonly start: number;
  readonly end: number;
}

/** A place in a source that the answer rests on. */
export interface Citation {
  /** Text of the source that is cited. */
  readonly text?: string | undefined;
  readonly url?: string | undefined;
  readonly title?: string | undefined;
  readonly place?: CitationPlace | undefined;
  /** Of the answer's text, in UTF-16 code units. */
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  /** As its protocol writes it. */
  readonly raw?: { readonly protocol: string; readonly value: unknown } | undefined;
}

export interface FunctionTool extends Marked {
  readonly type: 'function';
  readonly name: string;
  readonly description?: string | undefined;
  /** JSON Schema of an object. */
  readonly schema: Readonly<Record<string, unknown>>;
  readonly isStrict?: boolean | undefined;
}

/** Takes free text (OpenAI `custom`). */
export interface CustomTool {
  readonly type: 'custom';
  readonly name: string;
  readonly description?: string | undefined;
  /** As its protocol writes it. */
  readonly grammar?: unknown;
}

/** One that the provider runs itself, which only its own protocol knows. */
export interface HostedTool {
  readonly type: 'hosted';
  readonly protocol: string;
  readonly name: string;
  readonly value: unknown;
}

export type Tool = FunctionTool | CustomTool | HostedTool;

export type ToolChoice =
  | { readonly type: 'auto' | 'required' | 'none' }
  | { readonly type: 'tool'; readonly name: string }
  | { readonly type: 'subset'; readonly names: readonly string[]; readonly isRequired: boolean };

export type AnswerFormat =
  | { readonly type: 'text' | 'json' }
  | {
      readonly type: 'json-schema';
      readonly name: string | undefined;
      readonly description?: string | undefined;
      readonly schema: Readonly<Record<string, unknown>>;
      readonly isStrict?: boolean | undefined;
    };

export interface ReasoningOptions {
  readonly isEnabled: boolean;
  /** `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`. */
  readonly effort?: string | undefined;
  readonly budgetTokens?: number | undefined;
  /** Whether the reasoning is to be told, in full or as a summary. */
  readonly isShown?: boolean | undefined;
  /** How long a summary, in OpenAI's words: `concise`, `detailed`. */
  readonly summary?: string | undefined;
}

export function isMedia(part: { readonly type: string }): part is MediaPart {
  return mediaTypes.has(part.type);
}

const mediaTypes = new Set(['image', 'document', 'audio', 'video']);
