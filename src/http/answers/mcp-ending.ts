/** The end of an MCP answer whose caller's credential ends while it is made: an error that its client can read. */
import { AppError } from '../../errors.js';

/** Of the range that JSON-RPC leaves to servers. */
const CREDENTIAL_ENDED = -32_001;

const utf8 = new TextDecoder();

/** The ids of the requests in a body: of one message, or of a batch. */
const idsIn = (body: unknown): (string | number)[] => {
  if (!(body instanceof Buffer)) return [];
  try {
    const messages = [JSON.parse(utf8.decode(body)) as unknown].flat();
    return messages.flatMap((message) => {
      const id = typeof message === 'object' && message !== null && 'id' in message ? message.id : null;
      return typeof id === 'string' || typeof id === 'number' ? [id] : [];
    });
  } catch {
    return [];
  }
};

const errorEvents = ({ code, status, message }: AppError, body: unknown): string =>
  idsIn(body)
    .map((id) => ({
      jsonrpc: '2.0',
      id,
      error: { code: CREDENTIAL_ENDED, message, data: { code, status } },
    }))
    .map((error) => `event: message\ndata: ${JSON.stringify(error)}\n\n`)
    .join('');

/**
 * `response`, whose event stream ends with a JSON-RPC error for each request of `body` once `ended` resolves. What is no
 * stream is as it was.
 */
export const endingWith = (response: Response, ended: Promise<AppError>, body: unknown): Response => {
  const { status, headers } = response;
  if (response.body === null || headers.get('content-type')?.startsWith('text/event-stream') !== true)
    return response;
  const reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await Promise.race([ended, reader.read()]);
      if (next instanceof AppError) {
        controller.enqueue(new TextEncoder().encode(errorEvents(next, body)));
        controller.close();
        reader.cancel().catch(() => undefined);
      } else if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return new Response(stream, { status, headers });
};
