import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { expect, test } from 'vitest';
import { classify, classifyAnswer } from './classify.ts';
import { AttemptFailure, failureTable } from './failure.ts';
import { refusalError } from './refusal-error.ts';

test.each([
  [500, [], 'transient'],
  [503, ['overloaded_error'], 'transient'],
  [529, [], 'transient'],
  [408, [], 'transient'],
  [409, [], 'transient'],
  [302, [], 'transient'],
  [429, ['rate_limit_exceeded', 'requests'], 'rate-limited'],
  [429, [], 'rate-limited'],
  [429, ['insufficient_quota', 'insufficient_quota'], 'quota'],
  [402, [], 'quota'],
  [400, ['billing_hard_limit_reached'], 'quota'],
  [401, ['invalid_api_key', 'invalid_request_error'], 'credential'],
  [403, ['permission_error'], 'credential'],
  [404, ['model_not_found', 'invalid_request_error'], 'model-gone'],
  [404, [], 'model-gone'],
  [400, ['context_length_exceeded', 'invalid_request_error'], 'context-too-long'],
  [413, ['request_too_large'], 'context-too-long'],
  [400, ['invalid_request_error'], 'caller-fault'],
  [422, [], 'caller-fault'],
  [400, ['constructor', '__proto__'], 'caller-fault'],
  [200, ['overloaded_error'], 'transient'],
  [200, ['invalid_request_error'], 'caller-fault'],
  [200, [], 'transient'],
  [200, ['429'], 'rate-limited'],
  [200, ['402'], 'quota'],
  [200, ['502'], 'transient'],
  [400, ['400', 'BadRequestError'], 'caller-fault'],
  [200, ['rate_limit_exceeded'], 'rate-limited'],
  [200, ['server_is_overloaded'], 'transient'],
  [200, ['invalid_prompt'], 'content-policy'],
  [200, ['invalid_image_url'], 'caller-fault'],
  [200, ['throttlingException'], 'rate-limited'],
  [200, ['validationException'], 'caller-fault'],
  [404, ['DeploymentNotFound'], 'model-gone'],
  [400, ['ResponsibleAIPolicyViolation', 'content_filter'], 'content-policy'],
  [429, ['quota_per_day', 'resource_exhausted'], 'quota'],
  [429, ['rate_limit_exceeded', 'resource_exhausted'], 'rate-limited'],
  [400, ['api_key_invalid', 'invalid_argument'], 'credential'],
  [400, ['failed_precondition'], 'credential'],
  [499, ['cancelled'], 'transient'],
  [424, ['modelerrorexception'], 'transient'],
  [429, ['modelnotreadyexception'], 'transient'],
  [400, ['servicequotaexceededexception'], 'quota'],
  [403, ['ExpiredTokenException'], 'credential'],
  [498, [], 'credential'],
] as const)('%i with %j is %s', (status, codes, expected) => {
  expect(classify(status, codes)).toBe(expected);
});

test("only what is the target's own fault counts against it", () => {
  const counting = Object.entries(failureTable).filter(([, row]) => row.countsAgainstTarget);
  expect(counting.map(([name]) => name)).toEqual(['transient']);
});

test("no text of a provider's answer about the gateway's own credential reaches a client", () => {
  const error = refusalError('credential', { provider: 'main', status: 401, retryAfterMs: undefined });
  expect(error.kind).toBe('upstream_failed');
  expect(failureTable.credential.showUpstreamError).toBe(false);
});

test('what the network threw is transient; what the gateway itself refused is not tried again', () => {
  expect(AttemptFailure.from(new GatewayError('timeout', 'late')).class).toBe('transient');
  expect(AttemptFailure.from(new GatewayError('upstream_failed', 'reset')).class).toBe('transient');
  expect(AttemptFailure.from(new GatewayError('cancelled', 'gone')).class).toBe('caller-fault');
});

const deep = `${'['.repeat(200)}${']'.repeat(200)}`;

test.each([
  [`{"a":${deep},"fileData":{"fileUri":"x"}}`, 'object-denied'],
  [`  {"a":${deep},"cached_content" : "x"}`, 'object-denied'],
  ['{"file\\u0044ata":{"\\u0066ileUr\\u0069":"x"}}', 'object-denied'],
  [`{"a":${deep}}`, 'credential'],
  ['{"a":"\\"fileUri\\""}', 'credential'],
  ['--form\r\n"fileUri"', 'credential'],
  ['{"half', 'credential'],
  ['', 'credential'],
])('a refusal of %j is one of what it names, or of the key, and never throws', (sent, expected) => {
  expect(classifyAnswer(403, ['PERMISSION_DENIED'], Buffer.from(sent))).toBe(expected);
});

test.each([
  [404, ['not_found_error'], '{"source":{"type":"file","file_id":"file_1"}}', 'caller-fault'],
  [404, ['NOT_FOUND'], '{"cachedContent":"cachedContents/1"}', 'caller-fault'],
  [404, ['invalid_request_error'], '{"file":{"file_id": "file-1"}}', 'caller-fault'],
  [404, ['invalid_request_error'], '{"tools":[{"vector_store_ids" : ["vs_1"]}]}', 'caller-fault'],
  [404, [], '{"file":{"file_id":"file-1"}}', 'model-gone'],
  [
    404,
    ['not_found_error'],
    '{"tools":[{"file_id":{"type":"string"},"required":["file_id"]}]}',
    'model-gone',
  ],
  [404, ['not_found'], '{"vector_store_ids":{"type":"array"},"fileUri":{"type":"string"}}', 'model-gone'],
  [403, ['PERMISSION_DENIED'], '{"properties":{"fileUri":{"type":"string"}},"x":["fileUri"]}', 'credential'],
  [403, ['AccessDeniedException'], '{"source":{"s3Location":{"uri":"s3://a/b"}}}', 'object-denied'],
  [403, ['AccessDeniedException'], '{"required":["s3Location"],"x":{}}', 'credential'],
  [404, ['model_not_found', 'invalid_request_error'], '{"file":{"file_id":"file-1"}}', 'model-gone'],
  [404, ['not_found_error'], '{"model":"m"}', 'model-gone'],
  [
    404,
    ['not_found_error'],
    '{"content":[{"type":"tool_use","id":"t","name":"f","input":{"file_id":"file_1"}}]}',
    'model-gone',
  ],
  [404, ['not_found_error'], '{"content":[{"type":"tool_use","input":{"id":"msg_1"}}]}', 'model-gone'],
  [404, ['not_found_error'], '{"content":[{"file_id":"file_1","type":"container_upload"}]}', 'caller-fault'],
  [
    404,
    ['not_found_error'],
    '{"content":[{"cache_control":{"type":"ephemeral"},"type":"container_upload","file_id":"file_1"}]}',
    'caller-fault',
  ],
  [
    404,
    ['invalid_request_error'],
    '{"content":[{"type":"input_image","detail":"auto","file_id":"file-1"}]}',
    'caller-fault',
  ],
  [404, ['invalid_request_error'], '{"input":[{"type":"reasoning","id":"rs_1"}]}', 'caller-fault'],
  [
    404,
    ['invalid_request_error'],
    '{"input":[{"id":"msg_1","content":[{"type":"output_text"}],"type":"message"}]}',
    'model-gone',
  ],
  [404, ['invalid_request_error'], '{"messages":[{"tool_calls":[{"id":"fc_1"}]}]}', 'model-gone'],
  [404, ['invalid_request_error'], '{"input":[{"id":"mcp_1","type":"mcp_call"}]}', 'caller-fault'],
  [
    403,
    ['PERMISSION_DENIED'],
    '{"fileData":{"displayName":"report {final}.pdf","fileUri":"gs://other/x"}}',
    'object-denied',
  ],
  [
    403,
    ['PERMISSION_DENIED'],
    '{"fileData":{"displayName":"\\"\\u007b\\\\","file\\u0055ri":"gs://other/x"}}',
    'object-denied',
  ],
  [404, ['invalid_request_error'], '{"file":{"filename":"a{b}.pdf","file_id":"file-1"}}', 'caller-fault'],
  [
    404,
    ['not_found_error'],
    '{"type":"container_upload","cache_control":{"type":"ephemeral"},"file_id":"f"}',
    'caller-fault',
  ],
  [
    404,
    ['not_found_error'],
    '{"file_id":"f","cache_control":{"type":"ephemeral"},"type":"container_upload"}',
    'caller-fault',
  ],
  [
    404,
    ['not_found_error'],
    '{"type":"container_upload","cache_control":{"type":"ephemeral","file_id":"f"}}',
    'model-gone',
  ],
  [
    404,
    ['invalid_request_error'],
    '{"messages":[{"tool_calls":[{"id":"call_1","type":"function"}]}]}',
    'model-gone',
  ],
  [
    404,
    ['NOT_FOUND'],
    '{"parts":[{"functionCall":{"name":"f","args":{"fileUri":"gs://a/b"}}}]}',
    'model-gone',
  ],
  [
    403,
    ['PERMISSION_DENIED'],
    '{"parts":[{"functionCall":{"name":"f","args":{"file_uri":"gs://a/b"}}}]}',
    'credential',
  ],
  [
    403,
    ['PERMISSION_DENIED'],
    '{"parts":[{"file_data":{"mime_type":"a/b","file_uri":"gs://a/b"}}]}',
    'object-denied',
  ],
  [403, ['AccessDeniedException'], '{"toolUse":{"input":{"s3Location":{"uri":"s3://a/b"}}}}', 'credential'],
  [403, ['permission_error'], '{"file_id":"file_1"}', 'credential'],
] as const)('%i with %j to %j is %s', (status, codes, sent, expected) => {
  expect(classifyAnswer(status, codes, Buffer.from(sent))).toBe(expected);
});

test.each([
  '{"file":{',
  '{"type":"file"',
  '"file_id":"'.replace(':"', ' '),
  '{"fileData":{"fileUri"',
  '"source":{',
  '"file":{"file_id" ',
  '{ ',
  '"id" ',
  '{}"type":"file"',
  '{"type":"file"}"file_id"',
])('%j again and again is read in one pass', piece => {
  const timeOf = (times: number) => {
    const sent = Buffer.from(`{${piece.repeat(times)}`);
    const began = process.cpuUsage();
    classifyAnswer(404, ['invalid_request_error'], sent);
    const { user, system } = process.cpuUsage(began);
    return user + system;
  };
  timeOf(1000);
  const short = timeOf(20_000);
  expect(timeOf(200_000)).toBeLessThan(40 * short + 500_000);
});

test.each(['a', '{', '\\"', '\\u0041', '\\\\'])('a name of 20 MB of %j is read', piece => {
  const name = piece.repeat(20_000_000 / piece.length);
  const sent = Buffer.from(`{"file":{"filename":"${name}","file_id":"file-1"}}`);
  expect(classifyAnswer(404, ['invalid_request_error'], sent)).toBe('caller-fault');
});
