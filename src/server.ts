#!/usr/bin/env node
/** The process: environment in, a listening server (or MCP over stdio), signals, exit codes. */
import { setTimeout as delay } from 'node:timers/promises';
import { onEndingSignals } from './app/ending-signals.js';
import { ConfigError, loadConfig, misspelledSettings, type Config } from './config/config.js';
import { allowDistantAddresses } from './lib/address-families.js';
import type { Log } from './log/log.js';
import { listExchangeIds } from './exchanges/ccxt/loader.js';
import { knownExchangeNames } from './exchanges/exchange-names.js';
import { createLog } from './log/pino-log.js';

/** EX_CONFIG of sysexits.h. */
const BAD_CONFIG = 78;
/** How long answers may wait for an exchange once the door is closed. */
const GIVE_UP_AFTER_MS = 6_000;
/** From there: connections that are still not done are cut. */
const CUT_AFTER_MS = 1_000;
/** From the signal and SHUTDOWN_NOTICE: the process ends whatever is left. */
const END_AFTER_MS = 8_700;

const endWhereUnusable = (error: unknown): never => {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(BAD_CONFIG);
};

const readConfig = (): Config => {
  try {
    return loadConfig(process.env, knownExchangeNames(listExchangeIds()));
  } catch (error) {
    return endWhereUnusable(error);
  }
};

/** Gives the count of rejections that nobody handled. */
const watchFaults = (log: Log): (() => number) => {
  let rejections = 0;
  process.on('unhandledRejection', (reason) => {
    rejections += 1;
    log.error({ err: reason, count: rejections }, 'unhandled rejection');
  });
  // State may be broken: whoever supervises this process starts a sound one.
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'uncaught exception');
    process.exit(1);
  });
  return () => rejections;
};

/** What is likely a mistake, though the settings can be used. */
const warnOfMisspellings = (log: Log): void => {
  const misspelled = misspelledSettings(process.env);
  if (misspelled.length === 0) return;
  const pairs = misspelled.map(({ variable, meant }) => `${variable} (did you mean ${meant}?)`);
  log.warn(
    { variables: misspelled.map(({ variable }) => variable) },
    `no settings, ignored: ${pairs.join(', ')}`,
  );
};

/** What keeps a server from listening, in words for who started it. */
const LISTEN_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has this port',
  EACCES: 'this user may not open this port',
  EADDRNOTAVAIL: 'this machine does not have this address',
  ENOTFOUND: 'there is no such host',
};

const whyNot = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  const words = LISTEN_FAULTS[code];
  return words === undefined ? code : `${words} (${code})`;
};

const serveHttp = async (config: Config): Promise<void> => {
  const log = await createLog(config);
  const unhandledRejections = watchFaults(log);
  warnOfMisspellings(log);
  const { buildApp } = await import('./app/app.js');
  const app = await buildApp(config, { log, unhandledRejections }).catch(endWhereUnusable);
  const end = async (): Promise<void> => {
    app.lifeCycle.beginDraining();
    await delay(config.shutdownNoticeMs);
    setTimeout(() => {
      app.lifeCycle.giveUpCalls();
      // Begun only now: however late this thread is, what was given up is answered first.
      setTimeout(() => app.server.closeAllConnections(), CUT_AFTER_MS).unref();
    }, GIVE_UP_AFTER_MS).unref();
    await app.close();
  };
  onEndingSignals({ process, log, end, endAfterMs: config.shutdownNoticeMs + END_AFTER_MS });
  try {
    const [address, ...more] = await app.listenOn({ host: config.host, port: config.port });
    const metricsAddress = await app.metricsApp?.listen({ host: config.host, port: config.metricsPort ?? 0 });
    const also = {
      ...(more.length === 0 ? {} : { more_addresses: more }),
      ...(metricsAddress === undefined ? {} : { metrics_address: metricsAddress }),
    };
    log.info(
      { address, ...also, exchanges: config.enabledExchanges, sandbox: config.sandbox !== false },
      'listening',
    );
  } catch (error) {
    const ports = [config.port, config.metricsPort].filter((port) => port !== null).join(' and ');
    log.error({}, `cannot listen on ${config.host}:${ports}: ${whyNot(error)}`);
    process.exit(1);
  }
};

/** For desktop clients that start this process as their child: stdout carries the protocol, logs go to stderr. */
const serveStdio = async (config: Config): Promise<void> => {
  const log = await createLog(config, { destination: process.stderr, pretty: false });
  watchFaults(log);
  warnOfMisspellings(log);
  const { buildStdioServer } = await import('./app/app.js');
  const server = await buildStdioServer(config, { log }).catch(endWhereUnusable);
  onEndingSignals({ process, log, end: () => server.close(), endAfterMs: END_AFTER_MS });
  await server.closed;
  await server.close();
  process.exit(0);
};

allowDistantAddresses();
const config = readConfig();
await (process.argv.includes('--stdio') ? serveStdio(config) : serveHttp(config));
