/** `store copy` and `store backup`: the whole store into another one. */
import { resolve } from 'node:path';
import { ConfigError } from '../config/config.js';
import { storeLocation, storeUrl } from '../config/store-settings.js';
import { openSource, openTarget, type CopyLocation } from '../ledger/copy/copy-end.js';
import { copyStore } from '../ledger/copy/copy-store.js';
import { backupSqliteFile } from '../ledger/sqlite/backup-file.js';
import { StoreError } from '../ledger/store-error.js';
import { EXIT } from '../lib/exit-codes.js';
import { UsageError, type CommandInput } from './command.js';
import { progressLine } from './output.js';
import { requireWritable } from './store-maintenance.js';
import { withStore, type StoreSession } from './store-session.js';

const sourceOf = ({ config, handle }: StoreSession): CopyLocation => {
  const { location } = config.store;
  return location.kind === 'postgres' ? location : { kind: 'sqlite', file: handle.file ?? '' };
};

const copyTo = async (session: StoreSession, to: CopyLocation): Promise<void> => {
  const { program, services, signal } = session;
  const source = await openSource(sourceOf(session));
  try {
    const target = await openTarget(to);
    try {
      const line = progressLine(program.stdout, { title: 'copy', monotonic: services.monotonic });
      const onProgress = async ({ candles, of }: { candles: number; of: number }): Promise<void> => {
        signal.throwIfAborted();
        await line.show(of === 0 ? 100 : (candles / of) * 100, `${candles} of ${of} candles`);
      };
      const counts = await copyStore({ source, target, onProgress });
      const words = Object.entries(counts).map(([table, count]) => `${count} ${table}`);
      await line.end(`done, equal in both stores: ${words.join(', ')}.`);
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
};

export const copy = ({ program, positionals }: CommandInput): Promise<number> => {
  const parsed = storeUrl.safeParse(positionals[1]);
  const location = storeLocation(parsed.data ?? 'none', {}, false);
  if (location.kind !== 'sqlite' && location.kind !== 'postgres')
    throw new UsageError('STORE_URL must be sqlite:<file> or postgres://user@host/database.');
  const interrupted = 'Paused: the same command goes on where it stopped.';
  return withStore(program, { interrupted }, async (session) => {
    requireWritable(session);
    try {
      await copyTo(session, location);
    } catch (thrown) {
      if (thrown instanceof StoreError && thrown.fault === 'sandbox')
        throw new ConfigError([`STORE_URL: ${thrown.message} Simulated data of a sandbox stays apart.`]);
      throw thrown;
    }
    return EXIT.ok;
  });
};

export const backup = ({ program, positionals }: CommandInput): Promise<number> =>
  withStore(program, { interrupted: 'Ended before it was done.' }, async (session) => {
    const file = resolve(positionals[1] ?? '');
    const source = sourceOf(session);
    if (source.kind === 'sqlite') backupSqliteFile(source.file, file);
    else await copyTo(session, { kind: 'sqlite', file });
    await session.print(`The store was copied into ${file}.`);
    return EXIT.ok;
  });
