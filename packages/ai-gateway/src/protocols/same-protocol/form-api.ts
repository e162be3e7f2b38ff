import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { openaiErrorEvent, openaiErrors } from '@strata/shared/errors/openai.ts';
import { splice } from '@strata/shared/json/splice.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import { type Form, formBody, formOf, formText, invalidForm } from '../../domain/form.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { Protocol, StreamReader } from '../../domain/protocol.ts';
import { refuseOverrideField } from '../../domain/upstream-overrides.ts';
import { readErrorCodes } from '../openai-chat/errors.ts';
import { asString, parseObject } from '../read-json.ts';
import { requireModel } from '../read-request.ts';

export interface FormApi {
  readonly name: string;
  readonly operation: string;
  /** Of a stream's events, where they hold more than text. */
  readonly maxEventBytes?: number;
  /** Of a whole answer in JSON; other forms of it say nothing about themselves. */
  readUsage(body: JsonObject): UsageReport | undefined;
  openReader(): StreamReader;
}

/**
 * An API whose request is a form with a model among its fields: its files pass as they are, only the model's name is put in the place of the
 * alias. The files are kept aside until the request is answered, because another target may have to be sent them again.
 */
export function formApi({ name, operation, maxEventBytes, readUsage, openReader }: FormApi): Protocol {
  return {
    name,
    operation,
    requestHeaders: ['content-type', 'accept', 'openai-beta'],
    requestIdHeader: 'x-request-id',
    ...(maxEventBytes !== undefined && { maxEventBytes }),
    renderError: openaiErrors,
    renderStreamError: openaiErrorEvent,
    readRequest(body, path) {
      const form = formOf(body);
      for (const field of form.fields) {
        refuseOverrideField(field.name);
        if (field.name === 'model' && field.isFile) throw invalidForm('The field `model` is a file.');
      }
      return {
        body,
        scanned: { members: [], inside: 0 },
        model: requireModel(path?.model ?? formText(form, 'model'), 'The field `model`'),
        isStream: formText(form, 'stream') === 'true',
        wantsStreamUsage: true,
        form,
      };
    },
    writeRequest: ({ body, form }, change) => splice(body, modelEdits(form, change.model)),
    writeForm: (form, change) => formBody(form, modelEdits(form, change.model)),
    readAnswer(bytes) {
      const body = parseObject(bytes);
      if (body?.error) return { type: 'error', codes: readErrorCodes(body) };
      const report = body && readUsage(body);
      return { type: 'answer', facts: { model: asString(body?.model), finishReason: undefined, report } };
    },
    readErrorCodes: body => readErrorCodes(parseObject(body) ?? {}),
    openReader,
  };
}

function modelEdits(form: Form | undefined, model: string) {
  if (/[\r\n]/.test(model)) {
    throw new GatewayError('invalid_request', 'The name of the model has a line end.', {
      reason: 'form_invalid',
    });
  }
  return (form?.fields ?? [])
    .filter(field => field.name === 'model')
    .map(field => ({ ...field.value, text: model }));
}
