/** Faults of an exchange in words: under the name that a caller asked for, and of an order book that is known to be wrong. */
import { AppError, type BookFault } from '../errors.js';
import type { ExchangeId } from '../schemas/common.js';

/** As MarketData resolves it: a name that callers use, and the CCXT id behind it. */
interface AskedName {
  readonly name: string;
  readonly exchange: ExchangeId;
}

/** `text` with the asked name wherever the CCXT id stands as a word of its own. */
export const inWordsOf = ({ name, exchange }: AskedName, text: string): string =>
  name === exchange ? text : text.replaceAll(new RegExp(`\\b${exchange}\\b`, 'g'), name);

/** The same error, naming the exchange as it was asked for in its message, its reasons and its origin. */
export const errorInWordsOf = (asked: AskedName, error: AppError): AppError => {
  const { name, exchange } = asked;
  if (name === exchange) return error;
  const { code, message, ...details } = error.toPlain();
  const { upstream, errors } = details;
  return new AppError(code, inWordsOf(asked, message), {
    ...details,
    upstream: upstream?.exchange === exchange ? { ...upstream, exchange: name } : upstream,
    errors: errors?.map((fault) => ({ ...fault, reason: inWordsOf(asked, fault.reason) })),
    cause: error.cause,
  });
};

/** A status whose detail begins so says that the order book, not the connection, is at fault. */
const PREFIX = 'book_integrity';

const SENTENCES: Readonly<Record<BookFault, (exchange: ExchangeId) => string>> = {
  sequence: (exchange) => `${exchange}'s order book feed lost an update`,
  checksum: (exchange) => `${exchange}'s order book does not agree with its checksum`,
  crossed: (exchange) => `${exchange}'s order book is crossed: its best bid is above its best ask`,
  crosscheck: (exchange) => `${exchange}'s live order book differs from its REST order book`,
  unreadable: (exchange) => `${exchange} sent an order book update that can not be applied`,
};

/** `upstream_bad_response` whose `bookFault` is `reason` and whose message begins with `book_integrity`. */
export const bookFaultOf = (exchange: ExchangeId, reason: BookFault, cause?: unknown): AppError =>
  new AppError('upstream_bad_response', `${PREFIX}: ${SENTENCES[reason](exchange)}.`, {
    upstream: { exchange },
    bookFault: reason,
    cause,
  });

/** What a stream says while it polls because its live book failed too often. */
export const polledBookDetail = (exchange: ExchangeId, reason: BookFault, pollIntervalMs: number): string =>
  `${PREFIX}: ${SENTENCES[reason](exchange)} too often; asking over REST every ${pollIntervalMs / 1000} s.`;
