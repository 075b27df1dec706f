/**
 * Answers from the cache before Fastify handles the request: where the headers are the same for every origin, and while
 * the server neither shuts down nor is overloaded. Who asks, and how often, is asked as Fastify's hooks ask it
 * (short-way.ts). Its answers are reported as all others are; every other request goes on to Fastify unchanged.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { takeWritten } from '../requests/answer-record.js';
import type { HeaderPair } from '../answers/common-headers.js';
import type { HotAnswers } from './response-cache.js';
import type { HostFault } from '../limits/host-check.js';
import { requestFault } from '../limits/server-limits.js';
import type { ShortWay } from './admission.js';

export interface FrontDoorOptions {
  readonly hotAnswers: HotAnswers;
  readonly steadyHeaders: readonly HeaderPair[];
  /** False while this server refuses requests, or closes connections behind its answers. */
  readonly isOpen: () => boolean;
  readonly hostFault: HostFault;
  /** The last question: it counts the request. */
  readonly admit: ShortWay;
  /** The id of a request, as Fastify gives it. */
  readonly requestId: (request: IncomingMessage) => string;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/** Stands in front of Fastify's own listener on the app's server. */
export const addFrontDoor = (app: FastifyInstance, options: FrontDoorOptions): void => {
  const { hotAnswers, steadyHeaders, isOpen, requestId: idOf, hostFault, admit } = options;
  const { server } = app;

  const answered = (request: IncomingMessage, response: ServerResponse): boolean => {
    // Without a socket it waits for earlier answers on its connection, and may never be sent: Fastify's way counts that.
    if (response.socket === null) return false;
    const entry = hotAnswers.find(request, steadyHeaders);
    if (entry === undefined || !isOpen() || requestFault(request) !== undefined) return false;
    if (hostFault(request) !== undefined) return false;
    const media = entry.presentation.formFor(request.headers.accept);
    if (media === null) return false;
    const arrivedAt = performance.now();
    const admitted = admit(request, entry);
    if (admitted === null) return false;
    const requestId = idOf(request);
    const { keepAliveTimeout: keepAliveTimeoutMs } = server;
    entry.send(response, request, { media, requestId, more: admitted.limitHeaders, keepAliveTimeoutMs });
    app.reportAnswer({
      requestId,
      method: request.method ?? 'GET',
      route: entry.route,
      status: response.statusCode,
      durationMs: performance.now() - arrivedAt,
      cache: 'HIT',
      exchange: entry.exchange,
      errorCode: null,
      ...(admitted.principal === null
        ? {}
        : {
            principal: admitted.principal,
            client: admitted.client,
            units: entry.units,
            bytes: takeWritten(request.socket),
          }),
      aborted: false,
      longLived: false,
    });
    return true;
  };

  const behind = server.listeners('request') as Listener[];
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    try {
      if (answered(request, response)) return;
    } catch (error) {
      // Nobody further out would catch it, and a bug in here must not end the process.
      app.logBug(error);
      response.destroy();
      return;
    }
    for (const listener of behind) listener.call(server, request, response);
  });
};
