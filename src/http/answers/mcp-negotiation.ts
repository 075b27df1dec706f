/**
 * MCP over whatever a client accepts. The specification binds clients to accept both JSON and event streams, and the
 * SDK insists on it; gateways and scripts accept one, or anything. An answer of this server is a single message (or
 * those of one batch), which both forms can carry.
 */
import { AppError } from '../../errors.js';
import { accepts } from './accept.js';

const JSON_TYPE = 'application/json';
const EVENT_STREAM = 'text/event-stream';
/** The Accept header that the SDK sees, whatever the client sent. */
export const SDK_ACCEPT = `${JSON_TYPE}, ${EVENT_STREAM}`;

/** either: both are named, and the SDK chooses. */
export type McpForm = 'json' | 'stream' | 'either';

/** Throws `not_acceptable` where neither form is taken. */
export const mcpFormFor = (accept: string | undefined): McpForm => {
  const json = accepts(accept, JSON_TYPE);
  const stream = accepts(accept, EVENT_STREAM);
  if (!json && !stream)
    throw new AppError('not_acceptable', `This address answers with ${JSON_TYPE} or ${EVENT_STREAM} only.`);
  if (!json) return 'stream';
  return stream && accept?.toLowerCase().includes(EVENT_STREAM) === true ? 'either' : 'json';
};

const isStream = (response: Response): boolean =>
  response.headers.get('content-type')?.startsWith(EVENT_STREAM) === true;

/** Headers of the one form that mean nothing in the other. */
const withType = (headers: Headers, type: string): Headers => {
  const kept = new Headers(headers);
  for (const name of ['content-length', 'connection', 'x-accel-buffering', 'cache-control'])
    kept.delete(name);
  kept.set('content-type', type);
  return kept;
};

/** The JSON texts of the messages in an event stream that has ended. */
const messagesOf = (stream: string): string[] =>
  stream
    .split(/\r?\n\r?\n/)
    .map((event) =>
      event
        .split(/\r?\n/)
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice('data:'.length).trim())
        .join('\n'),
    )
    .filter((text) => text !== '');

/** The answer in the form wanted; `isBatch`: the request was a list, and so is its answer. */
export const inMcpForm = async (
  response: Response,
  { form, isBatch }: { readonly form: McpForm; readonly isBatch: boolean },
): Promise<Response> => {
  const { status, headers, body } = response;
  if (form === 'json' && isStream(response)) {
    const messages = messagesOf(await response.text());
    const text = isBatch ? `[${messages.join(',')}]` : messages.at(-1);
    return new Response(text ?? null, { status, headers: withType(headers, JSON_TYPE) });
  }
  if (form === 'stream' && status === 200 && body !== null && !isStream(response)) {
    const text = await response.text();
    const stream = `event: message\ndata: ${text.replaceAll('\n', ' ')}\n\n`;
    return new Response(stream, { status, headers: withType(headers, EVENT_STREAM) });
  }
  return response;
};
