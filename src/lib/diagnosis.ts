/**
 * Why a call to another service failed, in one line for the operator: the system's own words for a
 * connection, the status and the beginning of the text for an answer. For logs and readiness; never for an answer to a
 * client, since it may name hosts, addresses and what the service wrote.
 */

/** What of a service's text, or of a cause, is repeated, in characters. */
const MAX_TEXT_LENGTH = 200;
/** A block page says what it is near its beginning; more is not searched for its words. */
const SEARCHED_LENGTH = 8_192;
/** Causes within causes, and addresses that were all tried in vain. */
const MAX_CAUSES = 4;

const cut = (text: string): string =>
  text.length > MAX_TEXT_LENGTH ? `${text.slice(0, MAX_TEXT_LENGTH)}…` : text;

/** One line of printable text: a page's markup, control characters and credentials in URLs are left out. */
export const plainLine = (text: string): string => {
  const start = text.slice(0, SEARCHED_LENGTH);
  const words = start.trimStart().startsWith('<')
    ? start
        .replace(/<(script|style)\b[^>]*>.*?(<\/\1>|$)/gis, ' ')
        .replace(/<!--.*?(-->|$)/gs, ' ')
        .replace(/<[^>]*(>|$)/g, ' ')
    : start;
  return cut(
    words
      .replace(/[\p{C}\p{Z}]+/gu, ' ')
      .replace(/([a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/?#@]{1,512}@/gi, '$1')
      .trim(),
  );
};

/** `HTTP 503: Service Unavailable …` */
export const diagnosisOfAnswer = ({
  status,
  body,
}: {
  readonly status: number;
  readonly body: string;
}): string => {
  const text = plainLine(body);
  return text === '' ? `HTTP ${status} without a text` : `HTTP ${status}: ${text}`;
};

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;

/** A cause's own words, with its code where they do not say it. */
const wordsOf = (cause: unknown): string => {
  const message = cause instanceof Error ? cause.message : typeof cause === 'string' ? cause : '';
  const code = memberOf(cause, 'code');
  const named = typeof code === 'string' && code !== '' && !message.includes(code) ? code : '';
  const text = plainLine(message);
  if (text === '') return named;
  return named === '' ? text : `${text} (${named})`;
};

/** The cause that says most: the innermost; of an attempt on several addresses, what each of them said. */
const causesOf = (cause: unknown, depth = 0): string[] => {
  if (depth >= MAX_CAUSES) return [];
  const attempts = memberOf(cause, 'errors');
  if (Array.isArray(attempts) && attempts.length > 0)
    return attempts.slice(0, MAX_CAUSES).flatMap((attempt) => causesOf(attempt, depth + 1));
  const inner = causesOf(memberOf(cause, 'cause'), depth + 1);
  const own = wordsOf(cause);
  return inner.length > 0 ? inner : own === '' ? [] : [own];
};

/**
 * `getaddrinfo ENOTFOUND api.example`, `connect ECONNREFUSED 192.0.2.1:443`, `api.example: self-signed certificate
 * (DEPTH_ZERO_SELF_SIGNED_CERT)`. `host`: what was asked, named where the words do not; undefined: not known.
 */
export const diagnosisOfCause = (cause: unknown, host?: string): string => {
  const words = cut([...new Set(causesOf(cause))].join('; '));
  const reason = words === '' ? 'no reason was given' : words;
  return host === undefined || reason.includes(host) ? reason : `${host}: ${reason}`;
};
