/**
 * Stream events as the results of a subscription. A document with its variables is executed once an event, however many
 * clients have subscribed with it: the hub hands all of them the same event object.
 */
import { execute } from 'graphql';
import type { SharedEvent } from '../streams/hub-api.js';
import type { GraphqlEngine, Prepared } from './engine.js';
import { EVENT_TYPES } from './schema/subscription-type.js';

/** Executes one document with its variables. */
export interface Rendering {
  /** The result of an event as JSON text; null for an event that is no part of a subscription. */
  resultOf(event: SharedEvent): string | null;
}

export interface Renderings {
  /** The one for this operation, shared; to be given back by `release`. */
  take(prepared: Prepared): { readonly rendering: Rendering; readonly release: () => void };
  size(): number;
}

/** Parsed events: documents that differ read the same one. */
const facts = new WeakMap<SharedEvent, unknown>();
const factsOf = (event: SharedEvent): unknown => {
  const known = facts.get(event);
  if (known !== undefined) return known;
  const parsed: unknown = JSON.parse(event.json);
  facts.set(event, parsed);
  return parsed;
};

const createRendering = (engine: GraphqlEngine, prepared: Prepared): Rendering => {
  const { known, operationName, variables } = prepared;
  let last: { readonly event: SharedEvent; readonly json: string } | undefined;
  return {
    resultOf(event) {
      if (last?.event === event) return last.json;
      if (EVENT_TYPES[event.type] === undefined) return null;
      const result = execute({
        schema: engine.schema,
        document: known.document,
        operationName: operationName ?? null,
        variableValues: variables,
        rootValue: factsOf(event),
      });
      // Nothing in an event is waited for.
      if (result instanceof Promise) return null;
      last = { event, json: engine.stringify(result, '') };
      return last.json;
    },
  };
};

export const createRenderings = (engine: GraphqlEngine): Renderings => {
  const shared = new Map<string, { readonly rendering: Rendering; users: number }>();
  return {
    take(prepared) {
      const { known, operationName = '', values } = prepared;
      const key = JSON.stringify([known.hash, operationName, values]);
      const entry = shared.get(key) ?? { rendering: createRendering(engine, prepared), users: 0 };
      shared.set(key, entry);
      entry.users += 1;
      let released = false;
      return {
        rendering: entry.rendering,
        release() {
          if (released) return;
          released = true;
          entry.users -= 1;
          if (entry.users === 0) shared.delete(key);
        },
      };
    },
    size: () => shared.size,
  };
};
