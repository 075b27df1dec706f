/** A live order book that is known to be wrong, as the error that ends its feed. */
import { AppError, type BookFault } from '../errors.js';
import type { ExchangeId } from '../schemas/common.js';

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
