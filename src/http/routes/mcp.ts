/**
 * `/mcp`: the Model Context Protocol over Streamable HTTP. Stateless: every POST is one exchange with a server of its
 * own; GET and DELETE, the session calls of older revisions, are answered 405 by the SDK. The SDK comes with the first
 * call: importing it would be a sixth of the server's start.
 */
import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type {} from '@fastify/swagger';
import type { Log } from '../../log/log.js';
import type { McpServerDependencies } from '../../mcp/mcp-server.js';

export interface McpRouteOptions extends McpServerDependencies {
  /**
   * Origins (`https://app.example.com`) whose pages may call, beside those on this machine. true, every origin, names
   * none: what any page may read is not what any page may drive through a user's own network (DNS rebinding).
   */
  readonly corsOrigins: true | readonly string[];
  readonly log: Log;
  /** Counts `more` calls beside the request itself; throws where the client has made too many. */
  readonly countMore: (request: FastifyRequest, more: number) => void;
}

/** The longest request taken, in bytes; ours are a few hundred. */
const BODY_LIMIT = 256 * 1024;

const hostnames = (origins: McpRouteOptions['corsOrigins']): string[] =>
  origins === true
    ? []
    : origins.flatMap((origin) => (URL.canParse(origin) ? [new URL(origin).hostname] : []));

/** Fastify's request as the SDK's handler takes it; the URL says nothing that the handler reads. */
const toWebRequest = (request: FastifyRequest, signal: AbortSignal): Request => {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers))
    for (const item of [value ?? []].flat()) headers.append(name, item);
  const body = request.body instanceof Buffer ? { body: new Uint8Array(request.body) } : {};
  return new Request('http://localhost/mcp', { method: request.method, headers, signal, ...body });
};

/** Aborts when the client has gone before it was answered, which ends its upstream call as well. */
const clientGone = (reply: FastifyReply): AbortSignal => {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  return gone.signal;
};

const utf8 = new TextDecoder();

/** Messages in a body: clients of older revisions may send a batch. What the SDK will refuse counts as one. */
const messagesIn = (body: unknown): number => {
  if (!(body instanceof Buffer)) return 1;
  // The SDK parses it all; here only what may be a batch is worth the time.
  const text = utf8.decode(body).trimStart();
  if (!text.startsWith('[')) return 1;
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? parsed.length : 1;
  } catch {
    return 1;
  }
};

const openEndpoint = async ({ log, corsOrigins, ...deps }: McpRouteOptions) => {
  const [{ originValidation }, { createMcpHandler, localhostAllowedOrigins }, server] = await Promise.all([
    import('@modelcontextprotocol/fastify'),
    import('@modelcontextprotocol/server'),
    import('../../mcp/mcp-server.js'),
  ]);
  const handler = createMcpHandler(server.createMcpServerFactory(deps), {
    maxSubscriptions: server.MAX_SUBSCRIPTIONS,
    maxRequestBodySize: BODY_LIMIT,
    onerror: (error) => log.debug({ err: error }, 'MCP: a request was refused or failed'),
  });
  return {
    handler,
    checkOrigin: originValidation([...localhostAllowedOrigins(), ...hostnames(corsOrigins)]),
  };
};

export const mcpRoutes: FastifyPluginCallback<McpRouteOptions> = (app: FastifyInstance, options, done) => {
  let opened: ReturnType<typeof openEndpoint> | undefined;
  const endpoint = () => (opened ??= openEndpoint(options));
  app.addHook('onRequest', async (request, reply) => {
    const { checkOrigin } = await endpoint();
    await checkOrigin.call(app, request, reply);
  });
  app.addHook('onClose', async () => {
    await (await opened)?.handler.close();
  });
  // The SDK reads bodies and answers faulty ones in JSON-RPC's words.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (_request, body, parsed) => {
    parsed(null, body);
  });
  app.route({
    method: ['GET', 'POST', 'DELETE'],
    url: '/mcp',
    // Fastify would answer HEAD itself, and cannot measure the SDK's Response.
    exposeHeadRoute: false,
    schema: { hide: true },
    handler: async (request, reply) => {
      options.countMore(request, messagesIn(request.body) - 1);
      const { handler } = await endpoint();
      const response = await handler.fetch(toWebRequest(request, clientGone(reply)));
      return reply.send(response);
    },
  });
  done();
};
