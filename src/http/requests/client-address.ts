/** The address of a request's client before Fastify has seen the request; the same that Fastify gives. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import proxyAddr from '@fastify/proxy-addr';
import type { Config } from '../../config/config.js';
import { clientOf } from './client.js';

type TrustProxy = Config['trustProxy'];
type Trusts = (address: string, hop: number) => boolean;

const trusts = (setting: TrustProxy): Trusts | null => {
  if (setting === false || (Array.isArray(setting) && setting.length === 0)) return null;
  if (setting === true) return () => true;
  return typeof setting === 'number' ? (_address, hop) => hop < setting : proxyAddr.compile(setting);
};

/** On a socket: the client of its last request, by what proxies said of it. */
const KNOWN = Symbol('client');
type KnowingSocket = Socket & { [KNOWN]?: { readonly forwarded: unknown; readonly client: string } };

/** What a client is counted by, as `clientOf` words it. `trustProxy`: TRUST_PROXY. */
export const createClientAddress = (trustProxy: TrustProxy): ((request: IncomingMessage) => string) => {
  const isTrusted = trusts(trustProxy);
  return (request) => {
    const socket: KnowingSocket = request.socket;
    const forwarded = isTrusted === null ? null : request.headers['x-forwarded-for'];
    const known = socket[KNOWN];
    if (known !== undefined && known.forwarded === forwarded) return known.client;
    const client = clientOf({
      ip: isTrusted === null ? socket.remoteAddress : proxyAddr(request, isTrusted),
    });
    socket[KNOWN] = { forwarded, client };
    return client;
  };
};
