/** Faults of an exchange in the words of whoever asked: under the name that was asked for, as good answers are. */
import { AppError } from '../errors.js';
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
