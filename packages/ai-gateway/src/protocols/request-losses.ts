import type { JsonObject } from '../domain/json-object.ts';
import type { Losses } from '../domain/losses.ts';
import type {
  AnswerFormat,
  MediaPart,
  Message,
  NeutralRequest,
  Part,
  ReasoningOptions,
} from '../domain/neutral-request.ts';
import { asObject, parseObject } from './read-json.ts';

/** A written request and, in front of it, members of the client's own. Most clients have none. */
export function behind(unknown: JsonObject, written: JsonObject): JsonObject {
  return Object.keys(unknown).length === 0 ? written : { ...unknown, ...written };
}

/** Members of the client's own that go back into its own protocol, and are told as dropped in every other. */
export function reportUnknown(request: NeutralRequest, protocol: string, losses: Losses): JsonObject {
  for (const { parameter, action } of request.lost ?? []) losses[action](parameter);
  if (isForcedAmongNone(request)) losses.dropped('tool_choice'); // every protocol refuses to be told so
  if (request.protocol === protocol) return request.unknown;
  const { reasoning, unknown } = request;
  if (reasoning?.summary !== undefined && reasoning.summary !== 'auto') losses.changed('reasoning.summary');
  for (const [name, value] of Object.entries(unknown))
    for (const each of namesIn(name, value)) losses.dropped(each);
  return {};
}

function isForcedAmongNone({ tools, toolChoice }: NeutralRequest): boolean {
  return (
    tools.length === 0 && toolChoice !== undefined && toolChoice.type !== 'auto' && toolChoice.type !== 'none'
  );
}

/** Objects that hold options of many kinds; each is named. */
const holders = new Set(['generationConfig', 'additionalModelRequestFields']);

function namesIn(name: string, value: unknown): readonly string[] {
  const object = holders.has(name) ? asObject(value) : undefined;
  return object === undefined ? [name] : Object.keys(object).map(inner => `${name}.${inner}`);
}

/** Messages whose parts of other protocols are text, where they say something, and gone where they do not. */
export function spokenMessages(
  messages: readonly Message[],
  protocol: string,
  losses: Losses,
): readonly Message[] {
  const isSpoken = (part: Part): boolean => {
    if (part.type === 'tool-result') return part.parts.every(isSpoken);
    return part.type !== 'foreign' || part.protocol === protocol;
  };
  if (messages.every(({ parts }) => parts.every(isSpoken))) return messages;
  const spoken = <Some extends Part>(parts: readonly Some[]): Some[] =>
    parts.flatMap(part => {
      if (part.type === 'tool-result') return [{ ...part, parts: spoken(part.parts) }];
      if (isSpoken(part) || part.type !== 'foreign') return [part];
      if (part.text === undefined) losses.dropped(lostPart(part));
      else losses.changed(lostPart(part));
      return part.text === undefined ? [] : [{ type: 'text', text: part.text } as Some]; // text stands wherever a foreign part does
    });
  return messages.map(message => ({ ...message, parts: spoken(message.parts) }));
}

/** A request with something to answer: protocols that want a turn of the user's get the system's words as one. */
export function withUserTurn(request: NeutralRequest, losses: Losses): NeutralRequest {
  const { system, messages } = request;
  const isSaid = messages.some(({ parts }) => parts.some(part => part.type !== 'text' || part.text !== ''));
  if (isSaid || system.every(({ text }) => text === '')) return request;
  losses.changed('messages.system');
  return { ...request, system: [], messages: [{ role: 'user', parts: system }] };
}

/** The arguments of a call as an object. What a model wrote that is no JSON object is the text in one. */
export function callInput(
  { input, arguments: text }: Extract<Part, { type: 'tool-call' }>,
  losses: Losses,
): JsonObject {
  if (input === 'text') return { input: text };
  const parsed = text.trim() === '' ? {} : parseObject(Buffer.from(text));
  if (parsed !== undefined) return parsed;
  losses.changed('messages.tool-call.arguments');
  return { arguments: text };
}

/** What beside its bytes a part says, and the protocol has no word for. */
export function reportMedia(
  part: MediaPart,
  kept: readonly ('name' | 'detail' | 'context' | 'citations')[],
  losses: Losses,
): void {
  const { type, name, detail, context, wantsCitations } = part;
  const said = {
    name,
    detail: detail === 'auto' ? undefined : detail,
    context,
    citations: wantsCitations,
  };
  for (const [each, value] of Object.entries(said))
    if (value !== undefined && !kept.some(known => known === each))
      losses.dropped(`messages.${type}.${each}`);
}

/** A schema that says itself what its format's description said. */
export function describedSchema(
  { schema, description }: Extract<AnswerFormat, { type: 'json-schema' }>,
  losses: Losses,
): JsonObject {
  if (description === undefined) return schema;
  if (schema.description !== undefined) losses.dropped('response_format.description');
  return { description, ...schema };
}

/** Options that a protocol has no member for. */
export function reportDropped(options: Readonly<Record<string, unknown>>, losses: Losses): void {
  for (const name in options) if (options[name] !== undefined) losses.dropped(name);
}

/** Thinking tokens that stand for an effort where only the other can be said. Conventions of gateways, no rule of a provider. */
const budgets: readonly (readonly [effort: string, tokens: number])[] = [
  ['low', 2048],
  ['medium', 8192],
  ['high', 24_576],
  ['xhigh', 32_768],
  ['max', 65_536],
];

/** The effort in OpenAI's words. */
export function effortOf(reasoning: ReasoningOptions | undefined, losses: Losses): string | undefined {
  if (reasoning === undefined) return undefined;
  const { isEnabled, effort, budgetTokens } = reasoning;
  if (effort !== undefined) return effort;
  if (!isEnabled) {
    losses.dropped('reasoning'); // most models of this protocol refuse to be told so
    return undefined;
  }
  if (budgetTokens === undefined) return 'medium';
  losses.changed('reasoning.budget_tokens');
  return budgets.find(([, tokens]) => budgetTokens <= tokens)?.[0] ?? 'max';
}

/** The budget for an effort, for models that take only budgets. */
export function budgetOf(effort: string | undefined): number {
  if (effort === 'minimal') return 1024;
  return budgets.find(([name]) => name === effort)?.[1] ?? 8192;
}

/** How a part that could not be sent is reported. */
export function lostPart(part: Part): string {
  return `messages.${part.type === 'foreign' ? part.name : part.type}`;
}
