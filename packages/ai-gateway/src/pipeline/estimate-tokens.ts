import { isMedia, type NeutralRequest, type Part, type Tool } from '../domain/neutral-request.ts';

/** What the frame of a turn, and a picture or document of unknown size, cost about. */
const turnTokens = 4;
const mediaTokens = 1000;

/**
 * About how many tokens a prompt has, by OpenAI's newest public encoding. Other vendors' tokenizers are not public; theirs count some
 * tenths more or less. The encoding is two megabytes, so it is loaded when it is first asked for.
 */
export async function estimateTokens(request: NeutralRequest): Promise<number> {
  const { countTokens } = await import('gpt-tokenizer/encoding/o200k_base');
  const count = (text: string) => countTokens(text, { disallowedSpecial: new Set() });
  const parts = request.messages.flatMap(message => message.parts);
  const texts = [
    ...request.system.map(part => part.text),
    ...parts.flatMap(textsOf),
    ...request.tools.map(toolText),
  ];
  const media = parts
    .flatMap((part): readonly Part[] => (part.type === 'tool-result' ? part.parts : [part]))
    .filter(isMedia);
  return (
    texts.reduce((sum, text) => sum + count(text), 0) +
    media.length * mediaTokens +
    (request.messages.length + (request.system.length > 0 ? 1 : 0)) * turnTokens
  );
}

function textsOf(part: Part): string[] {
  switch (part.type) {
    case 'text':
    case 'refusal':
    case 'reasoning':
      return [part.text];
    case 'tool-call':
      return [part.name, part.arguments];
    case 'tool-result':
      return part.parts.flatMap(each => (each.type === 'text' ? [each.text] : []));
    default:
      return [];
  }
}

function toolText(tool: Tool): string {
  if (tool.type === 'hosted') return tool.name;
  const schema = tool.type === 'function' ? JSON.stringify(tool.schema) : '';
  return `${tool.name} ${tool.description ?? ''} ${schema}`;
}
