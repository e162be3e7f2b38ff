import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { parseJson } from '@strata/shared/json/parse-json.ts';
import type { FastifyRequest } from 'fastify';
import * as z from 'zod';
import { eventTextProblem } from '../domain/event-texts.ts';
import type { CloudEvent } from '../domain/run-events.ts';
import { checkFields, readFields } from './read-body.ts';

const eventText = (name: 'id' | 'source' | 'type') =>
  z.string().superRefine((text, context) => {
    const message = eventTextProblem(name, text);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

/** CloudEvents 1.0.2, JSON format. */
export const eventSchema = z
  .looseObject({
    specversion: z.literal('1.0'),
    id: eventText('id'),
    source: eventText('source'),
    type: eventText('type'),
  })
  .refine(event => Object.keys(event).every(name => /^[a-z0-9_]{1,64}$/.test(name)), {
    message: 'attributes have small letters and digits only',
  });

/** "JSON Batch Format" of the JSON format. An empty one is one too. */
export const eventBatch = z.array(eventSchema).max(1000);

export const batchType = 'application/cloudevents-batch+json';
export const structuredTypes = ['application/cloudevents+json', 'application/json'];
/** Of the data of an event whose attributes are headers; JSON besides. */
export const plainDataTypes = ['text/plain', 'application/octet-stream'];
export const eventMediaTypes = [...structuredTypes, batchType, ...plainDataTypes];

/** The events of a request that brings any number of them (3.3), undefined when it brings one. */
export function readEventBatch(request: FastifyRequest): readonly CloudEvent[] | undefined {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';', 1);
  return type.trim().toLowerCase() === batchType ? readFields(request, eventBatch) : undefined;
}

/**
 * The event of a request (CloudEvents HTTP Protocol Binding 1.0.2): the whole of it as JSON (3.2), or its attributes as `ce-` headers and
 * its data as the body (3.1).
 *
 * @throws GatewayError invalid_request (`request_invalid`, and what is wrong with JSON)
 */
export function readCloudEvent(request: FastifyRequest): CloudEvent {
  const contentType = request.headers['content-type'] ?? '';
  const isStructured = /^application\/cloudevents\b/i.test(contentType);
  if (isStructured || request.headers['ce-specversion'] === undefined)
    return readFields(request, eventSchema);
  const data = dataOf(request.body, contentType);
  return checkFields({ ...attributesOf(request.headers), ...data }, eventSchema);
}

/** What the content type says and the body is, no header does. */
const notAttributes: ReadonlySet<string> = new Set(['data', 'data_base64', 'datacontenttype']);

function attributesOf(headers: FastifyRequest['headers']): Record<string, string> {
  const attributes: [string, string][] = [];
  for (const [header, value] of Object.entries(headers)) {
    const [, name] = /^ce-(.+)$/.exec(header) ?? [];
    if (name === undefined || notAttributes.has(name) || typeof value !== 'string') continue;
    attributes.push([name, decode(header, value)]);
  }
  return Object.fromEntries(attributes);
}

/** 3.1.3.2, "HTTP Header Values": percent-encoded, and in quotes if the sender likes. */
function decode(header: string, value: string): string {
  const [, quoted] = /^"(.*)"$/s.exec(value) ?? [];
  const text = quoted === undefined ? value : quoted.replace(/\\(.)/g, '$1');
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new GatewayError('invalid_request', `The header '${header}' is not percent-encoded UTF-8.`, {
      reason: 'request_invalid',
      param: header,
      cause,
    });
  }
}

function dataOf(body: unknown, contentType: string): Record<string, unknown> {
  const type = contentType === '' ? {} : { datacontenttype: contentType };
  if (!Buffer.isBuffer(body) || body.length === 0) return type;
  if (/^application\/json\b/i.test(contentType)) return { ...type, data: parseJson(body) };
  if (/^text\/plain\b/i.test(contentType)) return { ...type, data: body.toString('utf8') };
  return { ...type, data_base64: body.toString('base64') };
}
