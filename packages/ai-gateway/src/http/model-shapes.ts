import { type Capabilities, capabilitiesOf } from '../domain/capabilities.ts';
import type { Route } from '../domain/route.ts';
import { canReach } from '../pipeline/choose-way.ts';
import { gemini } from '../protocols/gemini/gemini.ts';
import { protocols } from '../protocols/registry.ts';

/** A part of the models that a caller may use, and whether there are more in the direction it goes. */
export interface ModelPage {
  readonly routes: readonly Route[];
  readonly hasMore: boolean;
}

/** How a vendor's SDKs read models. */
export interface ModelShape {
  list(page: ModelPage, sinceMs: number): object;
  one(route: Route, sinceMs: number): object;
}

/** OpenAI has no words for these; they are the ones that routers and local servers use, which clients look for. */
function described({ inputModalities, outputModalities, features }: Capabilities): object {
  return {
    input_modalities: inputModalities,
    output_modalities: outputModalities,
    supported_parameters: features,
  };
}

export const openaiModels: ModelShape = {
  list: ({ routes }, sinceMs) => ({
    object: 'list',
    data: routes.map(route => openaiModels.one(route, sinceMs)),
  }),
  one(route, sinceMs) {
    const known = capabilitiesOf(route);
    return {
      id: route.alias,
      object: 'model',
      created: Math.floor(sinceMs / 1000),
      owned_by: route.targets[0]?.provider.name ?? 'strata',
      context_length: known.contextTokens,
      max_output_tokens: known.maxOutputTokens,
      ...described(known),
    };
  },
};

export const anthropicModels: ModelShape = {
  list: ({ routes, hasMore }, sinceMs) => ({
    data: routes.map(route => anthropicModels.one(route, sinceMs)),
    has_more: hasMore,
    first_id: routes.at(0)?.alias ?? null,
    last_id: routes.at(-1)?.alias ?? null,
  }),
  one(route, sinceMs) {
    const known = capabilitiesOf(route);
    return {
      type: 'model',
      id: route.alias,
      display_name: route.alias,
      created_at: new Date(sinceMs).toISOString(),
      max_input_tokens: known.contextTokens ?? null,
      max_tokens: known.maxOutputTokens ?? null,
      capabilities: null, // its many switches are those of the vendor's own wire; none is guessed
      ...described(known),
    };
  },
};

/** The same for clients of Vertex AI, which know less of a model. */
export const vertexModels: ModelShape = {
  list: ({ routes, hasMore }, sinceMs) => ({
    publisherModels: routes.map(route => vertexModels.one(route, sinceMs)),
    ...(hasMore && { nextPageToken: routes.at(-1)?.alias }),
  }),
  one: ({ alias }) => ({ name: `publishers/google/models/${alias}`, displayName: alias }),
};

const methods = ['generateContent', 'streamGenerateContent', 'countTokens'];

export const geminiModels: ModelShape = {
  list: ({ routes, hasMore }, sinceMs) => ({
    models: routes.map(route => geminiModels.one(route, sinceMs)),
    ...(hasMore && { nextPageToken: routes.at(-1)?.alias }),
  }),
  one(route) {
    const { alias, targets } = route;
    const known = capabilitiesOf(route);
    const answers = targets.some(({ provider }) => canReach(gemini, provider, protocols));
    return {
      name: `models/${alias}`,
      displayName: alias,
      inputTokenLimit: known.contextTokens,
      outputTokenLimit: known.maxOutputTokens,
      supportedGenerationMethods: answers ? methods : [],
    };
  },
};
