/** Whether and how GraphQL is served. */
import type { Environment } from './environment.js';

export interface GraphqlSettings {
  readonly enabled: boolean;
  readonly limits: {
    readonly depth: number;
    readonly fields: number;
    readonly aliases: number;
    readonly cost: number;
    readonly batch: number;
  };
  readonly persisted: Environment['GRAPHQL_PERSISTED'];
  /** Path of a JSON file; '': none. */
  readonly documents: string;
  /** Questions about the schema: everybody's, nobody's, or those of known callers. */
  readonly introspection: 'all' | 'none' | 'known';
  readonly ui: boolean;
}

export const graphqlSettings = (e: Environment): GraphqlSettings => {
  const production = e.APP_ENV === 'production';
  return {
    enabled: e.GRAPHQL,
    limits: {
      depth: e.GRAPHQL_MAX_DEPTH,
      fields: e.GRAPHQL_MAX_FIELDS,
      aliases: e.GRAPHQL_MAX_ALIASES,
      cost: e.GRAPHQL_MAX_COST,
      batch: e.GRAPHQL_MAX_BATCH,
    },
    persisted: e.GRAPHQL_PERSISTED,
    documents: e.GRAPHQL_DOCUMENTS,
    introspection: {
      auto: production ? ('known' as const) : ('all' as const),
      on: 'all' as const,
      off: 'none' as const,
    }[e.GRAPHQL_INTROSPECTION],
    ui: e.GRAPHQL_UI === 'on' || (e.GRAPHQL_UI === 'auto' && !production),
  };
};
