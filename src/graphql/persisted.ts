/**
 * Persisted queries: a hash stands for a document. Automatic ones are registered by their clients, in the protocol of
 * Apollo's clients (`extensions.persistedQuery`); those of GRAPHQL_DOCUMENTS are known from the start.
 */
import { z } from 'zod';
import { LRUCache } from 'lru-cache';
import { AppError } from '../errors.js';
import { hashOf } from './documents.js';
import { refuse, type Refusal } from './faults.js';
import { MAX_PERSISTED, MAX_PERSISTED_LENGTH } from './limits.js';

type PersistedMode = 'off' | 'auto' | 'only';

export interface PersistedDeps {
  readonly mode: PersistedMode;
  /** SHA-256 in hex to text. */
  readonly documents: ReadonlyMap<string, string>;
}

interface AskedDocument {
  readonly query?: string | undefined;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

interface FoundDocument {
  readonly text: string;
  /** To be called once the document has proved to be good. */
  readonly register: () => void;
}

export interface Persisted {
  /** Throws a Refusal or `invalid_request`. */
  /** `registers`: whether the caller's documents are remembered. */
  find(asked: AskedDocument, registers: boolean): FoundDocument;
  size(): number;
}

const extension = z.object({
  version: z.literal(1),
  sha256Hash: z.string().regex(/^[0-9a-f]{64}$/),
});

const NOTHING = (): void => undefined;

const notFound = (): Refusal => refuse(new AppError('persisted_query_not_found', 'PersistedQueryNotFound'));

export const createPersisted = ({ mode, documents }: PersistedDeps): Persisted => {
  const registered = new LRUCache<string, string>({ max: MAX_PERSISTED });

  const hashIn = (extensions: AskedDocument['extensions']): string | undefined => {
    const given = extensions?.['persistedQuery'];
    if (given === undefined || given === null) return undefined;
    const read = extension.safeParse(given);
    if (read.success) return read.data.sha256Hash;
    const reason = 'must have version 1 and sha256Hash, the SHA-256 of the query in hex';
    throw new AppError('invalid_request', `extensions.persistedQuery ${reason}.`, {
      errors: [{ parameter: 'extensions.persistedQuery', reason }],
    });
  };

  return {
    find({ query, extensions }, registers) {
      const hash = hashIn(extensions);
      if (query === undefined || query === '') {
        if (hash === undefined)
          throw new AppError('invalid_request', 'query is required.', {
            errors: [{ parameter: 'query', reason: 'is required' }],
          });
        if (mode === 'off') throw refuse(new AppError('feature_disabled', 'PersistedQueryNotSupported'));
        const text = documents.get(hash) ?? registered.get(hash);
        if (text === undefined) throw notFound();
        return { text, register: NOTHING };
      }
      const own = hash === undefined && mode !== 'only' ? undefined : hashOf(query);
      if (hash !== undefined && hash !== own)
        throw new AppError('invalid_request', 'provided sha does not match query', {
          errors: [{ parameter: 'extensions.persistedQuery.sha256Hash', reason: 'is not that of the query' }],
        });
      if (mode === 'only' && !documents.has(own ?? ''))
        throw refuse(
          new AppError(
            'feature_disabled',
            'This server executes only documents that it was given beforehand.',
          ),
        );
      const register = (): void => {
        if (registers && mode === 'auto' && hash !== undefined && query.length <= MAX_PERSISTED_LENGTH)
          registered.set(hash, query);
      };
      return { text: query, register };
    },
    size: () => registered.size,
  };
};
