/** The settings of this process, checked with the exchanges that CCXT knows. */
import { loadConfig, type Config, type Variables } from '../config/config.js';
import { misspelledSettings } from '../config/setting-names.js';
import { listExchangeIds } from '../exchanges/ccxt/loader.js';
import { knownExchangeNames } from '../exchanges/exchange-names.js';
import type { Log } from '../log/log.js';

/** @throws ConfigError with every fault */
export const readSettings = (env: Variables): Config =>
  loadConfig(env, knownExchangeNames(listExchangeIds()));

/** Warnings: likely mistakes in settings that are valid. */
export const warnOfMisspellings = (env: Variables, log: Log): void => {
  const misspelled = misspelledSettings(env);
  if (misspelled.length === 0) return;
  const pairs = misspelled.map(({ variable, meant }) => `${variable} (did you mean ${meant}?)`);
  log.warn(
    { variables: misspelled.map(({ variable }) => variable) },
    `no settings, ignored: ${pairs.join(', ')}`,
  );
};
