/** Our errors in MCP's two forms: a tool's failed result, which a model reads, and a protocol error of a resource. */
import { ProtocolError, ProtocolErrorCode, type CallToolResult } from '@modelcontextprotocol/server';
import { type AppError, type ErrorCode } from '../errors.js';

/** Advice for codes for which `retryable` alone does not say what to do. */
const ADVICE: Partial<Record<ErrorCode, string>> = {
  invalid_request: 'Correct the named arguments and call again.',
  unknown_exchange: 'Call list_exchanges for the names that can be used.',
  exchange_not_enabled: 'Call list_exchanges for the exchanges that are enabled on this server.',
  symbol_not_found: 'Call search_markets for the symbols of this exchange.',
  interval_not_supported: 'Use one of the intervals that list_exchanges shows for this exchange.',
  not_supported_by_exchange: 'Use another exchange; list_exchanges shows what each one offers.',
  not_found: 'This server keeps no candles. Call get_ohlcv, which asks the exchange.',
  upstream_geo_blocked: 'This exchange refuses the place the server runs in; use another exchange.',
};
const AGAIN_LATER = 'Wait, then make the same call again, or use another exchange.';
const NOT_AGAIN = 'The same call will fail again; use another exchange or tell the user.';

const adviceFor = ({ code, retryable }: AppError): string =>
  ADVICE[code] ?? (retryable ? AGAIN_LATER : NOT_AGAIN);

/** `retry_after_ms` is absent where it is unknown. `requestId`: the id under which an internal error is logged. */
const machineReadable = (error: AppError, requestId: string) => ({
  code: error.code,
  retryable: error.retryable,
  ...(error.retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(error.retryAfterMs) }),
  ...(error.errors === undefined ? {} : { errors: error.errors }),
  ...(error.upstream === undefined ? {} : { upstream: error.upstream }),
  advice: adviceFor(error),
  request_id: requestId,
});

const inWords = (error: AppError): string =>
  [
    `${error.code}: ${error.message}`,
    // The message of refused arguments names all of them.
    ...(error.errors ?? [])
      .filter(({ reason }) => !error.message.includes(reason))
      .map(({ parameter, reason }) => `- ${parameter}: ${reason}`),
    adviceFor(error),
    ...(error.retryAfterMs === undefined
      ? []
      : [`Retry after ${String(Math.ceil(error.retryAfterMs / 1000))} s.`]),
  ].join('\n');

/** Name of the member of `_meta` that carries the error for programs. */
const ERROR_META_KEY = 'mcp-crypto-data-server/error';

/**
 * A failed result. The machine-readable part is in `_meta`, since clients of older revisions check
 * `structuredContent` against the output schema even where the call failed.
 */
export const toolError = (error: AppError, requestId: string): CallToolResult => {
  return {
    isError: true,
    content: [{ type: 'text', text: inWords(error) }],
    _meta: { [ERROR_META_KEY]: machineReadable(error, requestId) },
  };
};

/** For `resources/read`: a caller's mistake is -32602, all else -32603; `data` says what a tool error's `_meta` does. */
export const resourceError = (
  error: AppError,
  { uri, requestId }: { readonly uri: string; readonly requestId: string },
): ProtocolError => {
  const code = error.status === 400 ? ProtocolErrorCode.InvalidParams : ProtocolErrorCode.InternalError;
  return new ProtocolError(code, inWords(error), { uri, ...machineReadable(error, requestId) });
};
