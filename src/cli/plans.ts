/** The command `plans`: what the plans of keys allow. */
import { DEFAULT_PLAN } from '../access/plan.js';
import { limitsOfBody, limitsOfText, bodyOfLimits, textOfLimits } from '../access/plan-limits.js';
import { createExchangeNames } from '../exchanges/exchange-names.js';
import { listExchangeIds } from '../exchanges/ccxt/loader.js';
import { readInput } from '../invalid-input.js';
import { EXIT } from '../lib/exit-codes.js';
import { planLimits, planName, type PlanLimitsBody } from '../schemas/access.js';
import { CLI_ACTOR, withAccessStore } from './access-session.js';
import { UsageError, type Command, type CommandInput } from './command.js';

/** Options by the member of a plan that they set. */
const NUMBERS = {
  requests: 'requests',
  window: 'window',
  day: 'day',
  month: 'month',
  streams: 'streams',
  subscriptions: 'subscriptions',
  symbols: 'symbols',
  'ohlcv-max': 'ohlcv_max',
  'graphql-cost': 'graphql_cost',
} as const;

const wholeOf = (option: string, value: unknown): number => {
  if (typeof value === 'string' && /^\d{1,15}$/.test(value) && Number(value) > 0) return Number(value);
  throw new UsageError(`--${option} ${JSON.stringify(value)} must be a whole number of at least 1.`);
};

const flagOf = (value: unknown): boolean => {
  if (value === 'true' || value === 'false') return value === 'true';
  throw new UsageError(`--backfill ${JSON.stringify(value)} must be true or false.`);
};

/** @throws UsageError; AppError `invalid_request` or `unknown_exchange` */
const bodyOf = (values: CommandInput['values']): PlanLimitsBody => {
  const numbers = Object.entries(NUMBERS)
    .filter(([option]) => values[option] !== undefined)
    .map(([option, member]) => [member, wholeOf(option, values[option])]);
  const { exchanges: named, backfill } = values;
  const exchanges = typeof named === 'string' ? named.split(',') : undefined;
  const body = readInput(
    planLimits,
    {
      ...Object.fromEntries(numbers),
      ...(exchanges === undefined ? {} : { exchanges: exchanges.map((name) => name.trim()) }),
      ...(backfill === undefined ? {} : { backfill: flagOf(backfill) }),
    },
    'the plan',
  );
  const names = createExchangeNames({ enabled: [], knownIds: listExchangeIds() });
  for (const name of body.exchanges ?? []) names.resolveKnown(name);
  return body;
};

const inWords = (name: string, body: PlanLimitsBody): string => {
  const members = Object.entries(body).map(([member, value]) => `${member}=${String(value)}`);
  return `${name}  ${members.length === 0 ? 'unlimited' : members.join(' ')}`;
};

const list = ({ program }: CommandInput): Promise<number> =>
  withAccessStore(program, async ({ store, print }) => {
    const rows = await store.plans();
    if (!rows.some(({ name }) => name === DEFAULT_PLAN)) await print(inWords(DEFAULT_PLAN, {}));
    for (const { name, limits } of rows) await print(inWords(name, bodyOfLimits(limitsOfText(limits))));
    return EXIT.ok;
  });

const set = ({ program, values }: CommandInput, given: string): Promise<number> =>
  withAccessStore(program, async ({ store, print }) => {
    const name = readInput(planName, given, 'the name of the plan');
    const limits = limitsOfBody(bodyOf(values));
    await store.setPlan({ name, limits: textOfLimits(limits) }, { actor: CLI_ACTOR, at: Date.now() });
    await print(inWords(name, bodyOfLimits(limits)));
    return EXIT.ok;
  });

export const plans: Command = {
  help: `Usage: mcp-crypto-data-server plans list
       mcp-crypto-data-server plans set <name> [options]

Plans say how much a key may ask for. \`set\` replaces a plan as a whole: what is left out is unlimited. It acts on every
key that has the plan, on running servers within AUTH_SYNC_INTERVAL. Keys without a plan have the plan \`default\`.

Options of set:
  --requests N        requests a window
  --window S          length of that window, in seconds (60)
  --day N             units a day, by UTC
  --month N           units a month, by UTC
  --streams N         connections of SSE and WebSocket open at once
  --subscriptions N   subscriptions on /ws at once
  --symbols N         distinct symbols live at once
  --exchanges a,b     exchanges that may be asked for
  --ohlcv-max N       candles a call
  --backfill BOOL     false: no history is fetched for callers with this plan
  --graphql-cost N    cost of one GraphQL operation
`,
  options: {
    ...Object.fromEntries(Object.keys(NUMBERS).map((option) => [option, { type: 'string' as const }])),
    exchanges: { type: 'string' },
    backfill: { type: 'string' },
  },
  takesPositionals: true,
  async run(input) {
    const [what, name, ...more] = input.positionals;
    if (what === 'list' && name === undefined && Object.keys(input.values).length === 0) return list(input);
    if (what === 'set' && name !== undefined && more.length === 0) return set(input, name);
    throw new UsageError('Usage: plans list, or plans set <name> [options]');
  },
};
