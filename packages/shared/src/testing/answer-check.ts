import { Ajv2020 } from 'ajv/dist/2020.js';

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { content?: Record<string, { schema: object }> }>>;
}

export interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: object;
}

export interface Answered {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly status: number;
  readonly type: string;
  /** Parsed, where it is JSON. */
  readonly body: unknown;
}

/** Compares answers with what the OpenAPI document promises. What the check gives throws an Error that says where they differ. */
export function createAnswerCheck(openApi: OpenApi): (answered: Answered) => void {
  const ajv = new Ajv2020({ allErrors: true, strict: false, validateFormats: false });
  ajv.addSchema({ $id: 'document', components: openApi.components });
  const validators = new Map<object, ReturnType<typeof ajv.compile>>();
  return ({ method, path, status, type, body }) => {
    const [name = ''] = path.split('?');
    const answer = answerOf(findOperation(openApi, method, name), status);
    if (answer?.content === undefined) return;
    const [media = ''] = type.split(';');
    const schema = answer.content[media]?.schema;
    if (schema === undefined) throw new Error(`${method} ${path} answers ${status} with '${media}'`);
    if (body === undefined) return;
    const resolved = JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"document#/components'));
    const validate = validators.get(schema) ?? ajv.compile(resolved);
    validators.set(schema, validate);
    if (validate(body)) return;
    const found = ajv.errorsText(validate.errors, { separator: '\n' });
    throw new Error(`${method} ${path} is not what the document says:\n${found}\n${JSON.stringify(body)}`);
  };
}

function answerOf(operation: Operation | undefined, status: number) {
  return operation?.responses[String(status)] ?? operation?.responses.default;
}

/** The one whose path has the most text of its own. */
function findOperation(openApi: OpenApi, method: string, path: string): Operation | undefined {
  let found: Operation | undefined;
  let longest = -1;
  for (const [template, operations] of Object.entries(openApi.paths)) {
    const operation = operations[method.toLowerCase()];
    const literal = template.replaceAll(/\{[^}]+\}/g, '').length;
    const pattern = new RegExp(`^${template.replaceAll(/\{[^}]+\}/g, '[^/]+')}$`);
    if (operation === undefined || literal <= longest || !pattern.test(path)) continue;
    found = operation;
    longest = literal;
  }
  return found;
}
