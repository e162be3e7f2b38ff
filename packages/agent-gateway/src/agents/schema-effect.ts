import { parseJson } from '@strata/shared/json/parse-json.ts';
import type { DataSchemas } from '../domain/data-schemas.ts';
import type { Effect } from '../domain/effect.ts';
import type { OutputCheck, OutputVerdict } from './structured-output.ts';

/** Reads the text of an answer as JSON and holds it against a schema. Recorded like any call: it is decided once. */
export function createSchemaEffect(schemas: DataSchemas): Effect {
  return {
    type: 'schema',
    async perform(request) {
      const { schema, text } = request as OutputCheck; // planned by `call: agent` or `call: llm`
      const read = readAnswer(text);
      if ('problem' in read) return { result: { problems: [read.problem] } satisfies OutputVerdict };
      const problems = await schemas.validate(schema, read.value);
      const verdict: OutputVerdict =
        problems.length === 0
          ? { value: read.value }
          : {
              problems: problems.map(
                ({ pointer, message }) => `${pointer === '' ? 'the answer' : pointer} ${message}`,
              ),
            };
      return { result: verdict };
    },
  };
}

/** Models like to put JSON in a fence, or a sentence before it. */
function readAnswer(text: string): { readonly value: unknown } | { readonly problem: string } {
  const fenced = /^\s*```(?:json)?\s*\n([\s\S]*?)\n\s*```\s*$/.exec(text)?.[1];
  try {
    return { value: parseJson(Buffer.from(fenced ?? text)) };
  } catch (error) {
    return { problem: `the answer is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}
