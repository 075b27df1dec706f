/**
 * Notices over PostgreSQL's LISTEN and NOTIFY, on a connection of its own. Such a connection can die without a word
 * (a pooler, a firewall): it is asked for a sign of life, and replaced.
 */
import pg from 'pg';
import { createListeners, MAX_NOTICE_LENGTH, type Notices } from '../notify/notices.js';

/** PostgreSQL's channel on which servers of one store hear of its changes. */
export const ACCESS_CHANNEL = 'mcp_crypto_data_access';

const CONNECT_TIMEOUT_MS = 3_000;
const ASK_EVERY_MS = 5_000;
const ANSWER_WITHIN_MS = 3_000;
const FIRST_RECONNECT_MS = 100;
const LONGEST_RECONNECT_MS = 5_000;
/** A notice is `<topic> <text>`; what has no text is an empty one. */
const NOTICE = /^(\S+)(?: ([\s\S]*))?$/;

/** `channel`: an identifier of letters and underscores; `joined`: the way is there (again), and may have lost some. */
export const createPostgresNotices = ({
  url,
  channel,
  joined,
}: {
  readonly url: string;
  readonly channel: string;
  readonly joined: () => void;
}): Notices => {
  const { on, tell } = createListeners();
  let client: pg.Client | null = null;
  /** Gives the connection of `client` up. */
  let giveUp: () => void = () => undefined;
  let closed = false;
  let wait = FIRST_RECONNECT_MS;
  let timer: NodeJS.Timeout | undefined;

  const connect = async (): Promise<void> => {
    const next = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: ANSWER_WITHIN_MS,
      keepAlive: true,
      application_name: 'mcp-crypto-data-server notices',
    });
    let lost = false;
    const lose = (): void => {
      if (lost) return;
      lost = true;
      if (client === next) client = null;
      next.end().catch(() => undefined);
      again();
    };
    next.on('error', lose);
    next.on('end', lose);
    next.on('notification', ({ payload = '' }) => {
      const [, topic, text = ''] = NOTICE.exec(payload) ?? [];
      if (topic !== undefined) tell(topic, text);
    });
    try {
      await next.connect();
      await next.query(`LISTEN ${channel}`);
    } catch {
      lose();
      return;
    }
    if (closed) {
      lose();
      return;
    }
    client = next;
    giveUp = lose;
    wait = FIRST_RECONNECT_MS;
    joined();
  };

  const again = (): void => {
    if (closed) return;
    clearTimeout(timer);
    timer = setTimeout(() => void connect(), wait).unref();
    wait = Math.min(wait * 2, LONGEST_RECONNECT_MS);
  };

  const ask = setInterval(() => {
    const lose = giveUp;
    client?.query('SELECT 1').catch(() => lose());
  }, ASK_EVERY_MS).unref();
  void connect();

  return {
    on,
    notify(topic, text) {
      if (text.length > MAX_NOTICE_LENGTH) return;
      client?.query('SELECT pg_notify($1, $2)', [channel, `${topic} ${text}`]).catch(() => undefined);
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      clearInterval(ask);
      await client?.end().catch(() => undefined);
    },
  };
};
