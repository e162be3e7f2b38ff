import type { Conversation, OfferedTool } from './conversation.ts';
import { lastUserText, resultRounds } from './conversation.ts';
import type { Directives, ScriptedCall } from './directives.ts';
import { isObject } from './schema-instance.ts';
import { type ArgumentSource, fillArguments } from './tool-arguments.ts';

/** A call that the model makes. */
export interface PlannedCall {
  readonly name: string;
  /** Compact JSON; for a tool that takes free text, that text. */
  readonly arguments: string;
}

/** How much of a prompt is searched for a wish: who has one says so early. */
const maxReadChars = 20_000;

/**
 * The calls of this answer; none when the model should speak. A prompt is a list of steps (scripted, or clauses that each
 * ask for a tool); each round of tool results since it was said is a step done.
 */
export function nextCalls(conversation: Conversation, directives: Directives): readonly PlannedCall[] {
  const { toolChoice } = conversation;
  const offered =
    toolChoice.type === 'named'
      ? conversation.tools.filter(tool => toolChoice.names.includes(tool.name))
      : conversation.tools;
  if (toolChoice.type === 'none' || offered.length === 0) return [];
  const rounds = resultRounds(conversation);
  const latestResult = rounds
    .at(-1)
    ?.map(result => result.text)
    .join('\n');
  const prompt = (directives.rest || lastUserText(conversation)).slice(0, maxReadChars);
  const source: ArgumentSource = { text: prompt, latestResult, takesRest: true };

  const step = directives.steps[rounds.length];
  if (step) {
    const calls = step.map(call => scripted(call, offered, source)).filter(call => call !== undefined);
    if (calls.length > 0) return conversation.isParallel ? calls : calls.slice(0, 1);
  }
  const isScripted =
    directives.isScripted && directives.steps.length + Number(directives.say !== undefined) > 0;
  if (!isScripted) {
    const call = naturalCall(prompt, offered, rounds.length, latestResult);
    if (call) return [call];
  }
  if (toolChoice.type === 'auto') return [];
  // "required" says that some tool has to be called, wanted or not.
  const best = bestMatch(prompt, offered, latestResult)?.tool ?? offered[0];
  return best ? [plan(best, source)] : [];
}

function scripted(
  call: ScriptedCall,
  offered: readonly OfferedTool[],
  source: ArgumentSource,
): PlannedCall | undefined {
  const tool =
    offered.find(({ name }) => name === call.name) ?? offered.find(({ name }) => name.includes(call.name));
  if (!tool) return undefined;
  if (tool.schema === undefined) return { name: tool.name, arguments: call.json };
  const inserted = call.json.replaceAll('{{result}}', JSON.stringify(source.latestResult ?? '').slice(1, -1));
  return { name: tool.name, arguments: compactJson(inserted) };
}

/** Arguments that are no JSON go out as they are: a model that writes broken JSON is a case to test. */
function compactJson(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? JSON.stringify(value) : text;
  } catch {
    return text;
  }
}

function naturalCall(
  prompt: string,
  offered: readonly OfferedTool[],
  doneSteps: number,
  latestResult: string | undefined,
): PlannedCall | undefined {
  // While nothing is done, a step that waits for a result cannot be filled; it still is the step after this one.
  const stepsAsked: PlannedCall[] = [];
  for (const clause of clausesOf(prompt)) {
    const match = bestMatch(clause, offered, latestResult);
    if (match) stepsAsked.push(plan(match.tool, { text: clause, latestResult, takesRest: true }));
  }
  return stepsAsked[doneSteps];
}

/** A prompt in the pieces that can ask for a tool each. */
function clausesOf(prompt: string): string[] {
  return prompt
    .split(
      /[.!?;]\s+|\n+|,?\s*\b(?:and then|then|after that)\b\s*|,?\s+and\s+(?=(?:write|save|store|send|create|put)\b)/i,
    )
    .filter(clause => clause.trim() !== '');
}

interface Match {
  readonly tool: OfferedTool;
  readonly score: number;
}

/**
 * The tool that a clause asks for: one named in full ("use the tool X"), or the one that shares most words of its name with
 * the clause and whose required arguments the clause gives.
 */
function bestMatch(
  clause: string,
  offered: readonly OfferedTool[],
  latestResult: string | undefined,
): Match | undefined {
  const words = new Set(wordsOf(clause));
  let best: Match | undefined;
  for (const tool of offered) {
    const score = scoreOf(tool, clause, words, latestResult);
    if (score > (best?.score ?? 0)) best = { tool, score };
  }
  return best;
}

function scoreOf(
  tool: OfferedTool,
  clause: string,
  words: ReadonlySet<string>,
  latestResult: string | undefined,
): number {
  // `files__read_file` is the tool `read_file` of the server `files`.
  const ownName = tool.name.split(/__|[./:]/).at(-1) ?? tool.name;
  if (isNamed(tool.name, clause)) return 2000 + tool.name.length;
  if (isNamed(ownName, clause)) return 1000 + ownName.length;
  const own = [...new Set(wordsOf(ownName))];
  const shared = own.filter(word => words.has(word));
  if (shared.length === 0) return 0;
  const verbs = shared.filter(word => actions.has(word)).length;
  // "read the file" is for `read_text_file`, not for `write_file`.
  if (verbs === 0 && own.some(word => actions.has(word))) return 0;
  const saysWhat = verbs < shared.length || own.every(word => actions.has(word));
  // One word in common says little where no argument has to fit as well.
  const required = tool.schema?.required;
  const needsArguments = Array.isArray(required) && required.length > 0;
  if (!needsArguments && (!saysWhat || (shared.length < 2 && shared.length < own.length))) return 0;
  const source = { text: clause, latestResult, takesRest: saysWhat };
  if (!fillArguments(tool.schema, source).isComplete) return 0;
  return shared.length * 10 + verbs * 20 - (own.length - shared.length);
}

const actions = new Set(
  (
    'read list write search fetch create delete remove add echo sum edit move copy find send update save run ' +
    'execute query calculate convert open close count print set start stop'
  ).split(' '),
);

function isNamed(name: string, clause: string): boolean {
  // A name that is a plain word ("echo") has to be called a tool, or be asked to be used or called.
  if (/^[a-z]+$/.test(name))
    return new RegExp(
      `\\b(?:(?:use|call|invoke)\\s+(?:the\\s+)?(?:tool\\s+)?["'\`]?${name}\\b|tool\\s+["'\`]?${name}\\b|["'\`]?${name}["'\`]?\\s+tool\\b)`,
      'i',
    ).test(clause);
  return clause.includes(name);
}

const stopWords = new Set(['the', 'and', 'for', 'get', 'tool', 'with', 'from', 'into', 'text', 'mcp']);

/** `fs__readTextFile` and "Read the files" both hold `read` and `file`. */
function wordsOf(text: string): string[] {
  return text
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .map(word => (word.length > 3 && word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word))
    .filter(word => word.length > 2 && !stopWords.has(word));
}

function plan(tool: OfferedTool, source: ArgumentSource): PlannedCall {
  if (tool.schema === undefined) return { name: tool.name, arguments: source.text };
  return { name: tool.name, arguments: JSON.stringify(fillArguments(tool.schema, source).value) };
}
