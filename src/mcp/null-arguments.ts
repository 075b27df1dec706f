/**
 * `"arguments": null` is no arguments. MCP's schema has `arguments` of a call as an optional object (2025-11-25,
 * "CallToolRequestParams"), and the SDK refuses null with -32602 before a tool is reached; function-calling interfaces
 * and typed clients that serialise an unset member send it all the same.
 */

type Table = Readonly<Record<string, unknown>>;

const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A parsed message, or a batch of them; the same one where there is nothing to leave out. */
export const withoutNullArguments = <T>(message: T): T => {
  if (Array.isArray(message)) return message.map(withoutNullArguments) as T;
  if (!isTable(message)) return message;
  const { params } = message as Table;
  if (!isTable(params) || params['arguments'] !== null) return message;
  return { ...message, params: { ...params, arguments: {} } };
};

/** Few bodies hold this, in a string perhaps: only those are parsed here. */
const MAYBE_NULL = /"arguments"\s*:\s*null/;

/** A request's body as it came, in UTF-8; a body that is no JSON is passed on for the SDK to refuse. */
export const bodyWithoutNullArguments = (body: Buffer): Uint8Array => {
  const text = body.toString();
  if (!MAYBE_NULL.test(text)) return body;
  try {
    return Buffer.from(JSON.stringify(withoutNullArguments(JSON.parse(text))));
  } catch {
    return body;
  }
};
