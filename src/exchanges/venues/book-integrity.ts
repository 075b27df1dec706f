/**
 * How each venue's live order books can be checked, with the venue's own field names: one record a venue. Read in
 * CCXT 4.5.84's `js/src/pro/<venue>.js` and in the venue's documentation; docs/order-books.md says which of them are
 * not verified against the venue.
 */
import type { ExchangeId, UnifiedSymbol } from '../../schemas/common.js';
import type { BookIntegrity } from '../../schemas/market.js';
import { isMethod, isTable, member } from '../ccxt/tables.js';
import type { BookContext, BookMessage, BookRecord } from '../ccxt/feeds/book-guard.js';
import { krakenChecksum } from './book-checksum.js';

interface VenueIntegrity extends Partial<BookRecord> {
  readonly kind: BookIntegrity;
}

/** Where the venue's documentation does not say that its numbers have no holes: so many in a row prove it. */
const UNDOCUMENTED = 3;

const number = (value: unknown): number | undefined => {
  const parsed = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof parsed === 'number' && Number.isSafeInteger(parsed) ? parsed : undefined;
};
/** The first of several members that is a number. */
const numberIn = (table: unknown, ...keys: readonly string[]): number | undefined => {
  for (const key of keys) {
    const found = number(member(table, key));
    if (found !== undefined) return found;
  }
  return undefined;
};
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const at = (list: unknown, index: number): unknown =>
  Array.isArray(list) ? (list as unknown[])[index] : undefined;

interface IdOptions {
  readonly delimiter?: string;
  readonly type?: string;
}
/** As CCXT's handler of the venue names the market; none for a message without an id. */
const symbolOf = (
  { instance }: BookContext,
  id: unknown,
  { delimiter, type }: IdOptions = {},
): UnifiedSymbol | undefined => {
  if (typeof id !== 'string' || id === '') return undefined;
  const symbol = instance.safeSymbol(id, undefined, delimiter, type);
  return typeof symbol === 'string' ? symbol : undefined;
};

/** One book, or none where the symbol is not known. */
const one = (
  symbol: UnifiedSymbol | undefined,
  place: Omit<BookMessage, 'symbol'>,
): readonly BookMessage[] => (symbol === undefined ? [] : [{ symbol, ...place }]);

/** Each message has the next number. */
const counted = (value: number | undefined) => ({ first: value, last: value });

const urlOf = ({ client }: BookContext): string =>
  isTable(client) && typeof client['url'] === 'string' ? client['url'] : '';

const handler = (
  read: (message: unknown, context: BookContext) => readonly BookMessage[],
  method = 'handleOrderBook',
) => ({ method, read });

const FAMILIES = {
  binance: {
    kind: 'sequence',
    startsWhole: false,
    proof: 0,
    handlers: [
      handler((message, context) => {
        const isSpot: unknown = Reflect.get(context.instance, 'isSpotUrl');
        const spot = isMethod(isSpot) && isSpot.call(context.instance, context.client) === true;
        return one(symbolOf(context, member(message, 's'), { type: spot ? 'spot' : 'swap' }), {
          reset: false,
          previous: numberIn(message, 'pu'),
          first: numberIn(message, 'U'),
          last: numberIn(message, 'u'),
        });
      }),
    ],
  },
  okx: {
    kind: 'sequence',
    startsWhole: true,
    proof: 0,
    handlers: [
      handler((message, context) => {
        const action = member(message, 'action');
        const data = member(message, 'data');
        // Whole books of few levels have no action and no numbers.
        if (typeof action !== 'string' || !Array.isArray(data)) return [];
        const symbol = symbolOf(context, member(member(message, 'arg'), 'instId'));
        return data.flatMap((update: unknown) =>
          one(symbol, {
            reset: action === 'snapshot',
            previous: numberIn(update, 'prevSeqId'),
            last: numberIn(update, 'seqId'),
          }),
        );
      }),
    ],
  },
  bybit: {
    kind: 'sequence',
    startsWhole: true,
    proof: 0,
    handlers: [
      handler((message, context) => {
        const data = member(message, 'data');
        const type = urlOf(context).includes('spot') ? 'spot' : 'contract';
        return one(symbolOf(context, member(data, 's'), { type }), {
          reset: member(message, 'type') === 'snapshot',
          ...counted(numberIn(data, 'u')),
        });
      }),
    ],
  },
  kucoin: {
    kind: 'sequence',
    startsWhole: false,
    proof: 0,
    handlers: [
      handler((message, context) => {
        const topic = text(member(message, 'topic'));
        if (topic.includes('Depth')) return [];
        const data = member(message, 'data');
        const id = member(data, 'symbol') ?? topic.split(':')[1];
        return one(symbolOf(context, id, { delimiter: '-' }), {
          reset: false,
          first: numberIn(data, 'sequenceStart', 'sequence', 'O'),
          last: numberIn(data, 'sequenceEnd', 'sequence', 'C'),
        });
      }),
    ],
  },
  gate: {
    kind: 'sequence',
    startsWhole: false,
    proof: 0,
    handlers: [
      handler((message, context) => {
        const channel = text(member(message, 'channel'));
        const result = member(message, 'result');
        const named = text(member(result, 's'));
        // `ob.BTC_USDT.50` on the newer channel, which begins with a whole book.
        const whole = channel === 'spot.obu';
        const id = whole ? named.split('.')[1] : named;
        const type = channel.startsWith('spot.') ? 'spot' : 'contract';
        return one(symbolOf(context, id, { delimiter: '_', type }), {
          reset: whole && member(result, 'full') === true,
          startsWhole: whole,
          first: numberIn(result, 'U'),
          last: numberIn(result, 'u'),
        });
      }),
    ],
  },
} as const satisfies Record<string, VenueIntegrity>;

const WHOLE: VenueIntegrity = { kind: 'snapshot' };
const UNCHECKED: VenueIntegrity = { kind: 'crosscheck' };

const VENUES: ReadonlyMap<ExchangeId, VenueIntegrity> = new Map<ExchangeId, VenueIntegrity>([
  ['binance', FAMILIES.binance],
  ['binanceus', FAMILIES.binance],
  ['binanceusdm', FAMILIES.binance],
  ['binancecoinm', FAMILIES.binance],
  ['okx', FAMILIES.okx],
  ['okxus', FAMILIES.okx],
  ['myokx', FAMILIES.okx],
  ['bybit', FAMILIES.bybit],
  ['bybiteu', FAMILIES.bybit],
  ['bybitid', FAMILIES.bybit],
  ['kucoin', FAMILIES.kucoin],
  ['kucoinfutures', FAMILIES.kucoin],
  ['gate', FAMILIES.gate],
  ['gateeu', FAMILIES.gate],
  [
    'bitget',
    {
      // CCXT checks the CRC32 of 25 levels, but not on the unified account's feeds; `pseq` is on both.
      kind: 'checksum',
      startsWhole: true,
      proof: 0,
      checksumFault: 'handleCheckSumError',
      handlers: [
        handler((message, context) => {
          const arg = member(message, 'arg');
          if ((member(arg, 'channel') ?? member(arg, 'topic')) !== 'books') return [];
          const type = text(member(arg, 'instType')).toLowerCase() === 'spot' ? 'spot' : 'contract';
          const update = at(member(message, 'data'), 0);
          return one(symbolOf(context, member(arg, 'instId') ?? member(arg, 'symbol'), { type }), {
            reset: member(message, 'action') === 'snapshot',
            previous: numberIn(update, 'pseq'),
            last: numberIn(update, 'seq'),
          });
        }),
      ],
    },
  ],
  [
    'bitfinex',
    {
      // CCXT checks the CRC32 (`cs`); it takes the first message for the whole book, so that a later one needs this.
      kind: 'checksum',
      startsWhole: true,
      proof: 0,
      handlers: [
        handler((message, context) =>
          one(symbolOf(context, member(context.subscription, 'symbol')), {
            reset: Array.isArray(at(at(message, 1), 0)),
          }),
        ),
      ],
    },
  ],
  ['independentreserve', { kind: 'checksum' }],
  [
    'kraken',
    {
      kind: 'checksum',
      startsWhole: true,
      proof: 0,
      checksum: krakenChecksum,
      handlers: [
        handler((message) => {
          const update = at(member(message, 'data'), 0);
          const symbol = member(update, 'symbol');
          return one(typeof symbol === 'string' ? symbol : undefined, {
            reset: member(message, 'type') === 'snapshot',
            checksum: numberIn(update, 'checksum'),
          });
        }),
      ],
    },
  ],
  [
    'krakenfutures',
    {
      kind: 'sequence',
      startsWhole: true,
      proof: UNDOCUMENTED,
      handlers: ['handleOrderBook', 'handleOrderBookSnapshot'].map((method) =>
        handler(
          (message, context) =>
            one(symbolOf(context, member(message, 'product_id')), {
              reset: method === 'handleOrderBookSnapshot',
              ...counted(numberIn(message, 'seq')),
            }),
          method,
        ),
      ),
    },
  ],
  [
    'htx',
    {
      kind: 'sequence',
      startsWhole: false,
      proof: 0,
      handlers: [
        handler((message, context) => {
          const tick = member(message, 'tick');
          const event = member(tick, 'event');
          const symbol = symbolOf(context, text(member(message, 'ch')).split('.')[1]);
          // Contracts: each message has the next version, and the feed begins with a whole book.
          if (typeof event === 'string')
            return one(symbol, {
              reset: event === 'snapshot',
              startsWhole: true,
              ...counted(numberIn(tick, 'version')),
            });
          return one(symbol, {
            reset: false,
            previous: numberIn(tick, 'prevSeqNum'),
            last: numberIn(tick, 'seqNum'),
          });
        }),
      ],
    },
  ],
  [
    'cryptocom',
    {
      kind: 'sequence',
      startsWhole: true,
      proof: 0,
      handlers: [
        handler((message, context) => {
          const update = at(member(message, 'data'), 0);
          return one(symbolOf(context, member(message, 'instrument_name')), {
            reset: member(message, 'channel') === 'book',
            previous: numberIn(update, 'pu'),
            last: numberIn(update, 'u', 's'),
          });
        }),
      ],
    },
  ],
  [
    'mexc',
    {
      kind: 'sequence',
      startsWhole: false,
      proof: 0,
      handlers: [
        handler((message, context) => {
          const update =
            member(message, 'publicAggreDepths') ?? member(message, 'd') ?? member(message, 'data');
          return one(symbolOf(context, member(message, 's') ?? member(message, 'symbol')), {
            reset: false,
            first: numberIn(update, 'fromVersion', 'version', 'r'),
            last: numberIn(update, 'toVersion', 'version', 'r'),
          });
        }),
      ],
    },
  ],
  [
    'deribit',
    {
      kind: 'sequence',
      startsWhole: true,
      proof: 0,
      handlers: [
        handler((message, context) => {
          const data = member(member(message, 'params'), 'data');
          // Grouped books are whole and have no type.
          if (typeof member(data, 'type') !== 'string') return [];
          return one(symbolOf(context, member(data, 'instrument_name')), {
            reset: member(data, 'type') === 'snapshot',
            previous: numberIn(data, 'prev_change_id'),
            last: numberIn(data, 'change_id'),
          });
        }),
      ],
    },
  ],
  [
    'bitvavo',
    {
      kind: 'sequence',
      startsWhole: false,
      proof: UNDOCUMENTED,
      handlers: [
        handler((message, context) =>
          one(symbolOf(context, member(message, 'market'), { delimiter: '-' }), {
            reset: false,
            ...counted(numberIn(message, 'nonce')),
          }),
        ),
        handler((message, context) => {
          const response = member(message, 'response');
          return one(symbolOf(context, member(response, 'market'), { delimiter: '-' }), {
            reset: false,
            snapshot: numberIn(response, 'nonce'),
          });
        }, 'handleOrderBookSnapshot'),
      ],
    },
  ],
  [
    'coinbase',
    {
      // `sequence_num` counts the messages of a socket: a missing one may have been about any of its books.
      kind: 'sequence',
      startsWhole: true,
      proof: UNDOCUMENTED,
      connectionNumber: (message) => numberIn(message, 'sequence_num'),
      handlers: [
        handler((message, context) => {
          const events = member(message, 'events');
          if (!Array.isArray(events)) return [];
          return events.flatMap((event: unknown) =>
            one(symbolOf(context, member(event, 'product_id')), {
              reset: member(event, 'type') === 'snapshot',
            }),
          );
        }),
      ],
    },
  ],
  [
    'backpack',
    {
      kind: 'sequence',
      startsWhole: false,
      proof: UNDOCUMENTED,
      handlers: [
        handler((message, context) => {
          const data = member(message, 'data');
          return one(symbolOf(context, member(data, 's')), {
            reset: false,
            first: numberIn(data, 'U'),
            last: numberIn(data, 'u'),
          });
        }),
      ],
    },
  ],
  [
    'xt',
    {
      kind: 'sequence',
      startsWhole: false,
      proof: 0,
      handlers: [
        handler((message, context) => {
          const data = member(message, 'data');
          if (!isTable(data)) return [];
          const type = Object.hasOwn(data, 'fu') ? 'contract' : 'spot';
          return one(symbolOf(context, data['s'], { type }), {
            reset: false,
            previous: numberIn(data, 'pu'),
            first: numberIn(data, 'fu', 'fi'),
            last: numberIn(data, 'u', 'i'),
          });
        }),
      ],
    },
  ],
  [
    'luno',
    {
      kind: 'sequence',
      startsWhole: true,
      proof: 0,
      handlers: [
        handler((message, context) => {
          const symbol = member(context.subscription, 'symbol');
          return one(typeof symbol === 'string' ? symbol : undefined, {
            reset: member(message, 'asks') !== undefined,
            ...counted(numberIn(message, 'sequence')),
          });
        }),
      ],
    },
  ],
  [
    'grvt',
    {
      kind: 'sequence',
      startsWhole: true,
      proof: 0,
      handlers: [
        handler((message, context) => {
          const count = numberIn(message, 'sequence_number') ?? 0;
          const reset = member(message, 'stream') === 'v1.book.s' || count <= 0;
          const id = text(member(message, 'selector')).split('@')[0];
          // Whole books have the number 0, whatever follows them: counting begins with the first update.
          return one(symbolOf(context, id), { reset, ...(reset ? {} : counted(count)) });
        }),
      ],
    },
  ],
  [
    'weex',
    {
      kind: 'sequence',
      startsWhole: true,
      proof: UNDOCUMENTED,
      handlers: [
        handler((message, context) => {
          const type = urlOf(context).includes('contract') ? 'swap' : 'spot';
          return one(symbolOf(context, member(message, 's'), { type }), {
            reset: member(message, 'e') === 'depthSnapshot',
            first: numberIn(message, 'U'),
            last: numberIn(message, 'u'),
          });
        }),
      ],
    },
  ],
  [
    'extended',
    {
      kind: 'sequence',
      startsWhole: true,
      proof: 0,
      handlers: [
        handler((message, context) => {
          const data = member(message, 'data');
          return one(symbolOf(context, member(data, 'm')), {
            reset: (member(message, 'type') ?? member(data, 't')) === 'SNAPSHOT',
            ...counted(numberIn(message, 'seq')),
          });
        }),
      ],
    },
  ],
  // Its numbers are nanoseconds, beyond whole JavaScript numbers; CCXT compares them as text and ends the feed itself.
  ['nado', { kind: 'sequence' }],
  [
    'coinbaseexchange',
    {
      // Nothing is numbered. CCXT throws for an update before the whole book.
      kind: 'crosscheck',
      startsWhole: true,
      proof: 0,
      handlers: [
        handler((message, context) =>
          one(symbolOf(context, member(message, 'product_id'), { delimiter: '-' }), {
            reset: member(message, 'type') === 'snapshot',
          }),
        ),
      ],
    },
  ],
  ['hyperliquid', WHOLE],
  ['upbit', WHOLE],
  ['bingx', WHOLE],
]);

const integrityOf = (exchange: ExchangeId): VenueIntegrity => VENUES.get(exchange) ?? UNCHECKED;

/** How a venue's live order books are checked; books that are polled are whole. */
export const bookIntegrity = (exchange: ExchangeId): BookIntegrity => integrityOf(exchange).kind;

/** What judges the messages of a venue's books; null where nothing in them can be judged, or CCXT does it. */
export const bookRecord = (exchange: ExchangeId): BookRecord | null => {
  const { handlers, startsWhole = false, proof = 0, ...rest } = integrityOf(exchange);
  return handlers === undefined ? null : { handlers, startsWhole, proof, ...rest };
};
