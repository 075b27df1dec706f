// CoinMarketCap's Pro API, as far as a fallback for prices needs it.
// https://coinmarketcap.com/api/documentation/v1/ and https://coinmarketcap.com/api/documentation/guides/errors-and-rate-limits
import { type Millis } from '../intervals.js';
import { itemAt } from '../item-at.js';
import { type MarketTruth } from '../market.js';
import { listCmcAssets, type CmcAsset } from './coinmarketcap-assets.js';
import { CONVERSION_IDS, record, type Version } from './coinmarketcap-records.js';
import { blockPage, integer, type RequestKind, type RestVenue } from './venue.js';
import { type VenueReply, type VenueRequest } from './venue.js';

/** The documented error codes with their statuses. The API key `error-<code>` is refused with that code. */
const FIRST_ERROR = 1001;
const ERRORS: readonly (readonly [status: number, message: string])[] = [
  [401, 'This API Key is invalid.'],
  [401, 'API key missing.'],
  [402, 'Your API Key must be activated. Please go to pro.coinmarketcap.com/account/plan.'],
  [402, "Your API Key's subscription plan has expired."],
  [403, 'An API Key is required for this call.'],
  [403, "Your API Key subscription plan doesn't support this endpoint."],
  [403, 'This API Key has been disabled. Please contact support.'],
  [429, "You've exceeded your API Key's HTTP request rate limit. Rate limits reset every minute."],
  [429, "You've exceeded your API Key's daily rate limit."],
  [429, "You've exceeded your API Key's monthly rate limit."],
  [429, "You've hit an IP rate limit."],
];
interface Outcome {
  readonly status: number;
  readonly code: number;
  readonly message: string | null;
  readonly credits?: number;
}

const envelope = (outcome: Outcome, now: Millis, data?: unknown): VenueReply => ({
  status: outcome.status,
  body: JSON.stringify({
    status: {
      timestamp: new Date(now).toISOString(),
      error_code: outcome.code,
      error_message: outcome.message,
      elapsed: 10,
      credit_count: outcome.credits ?? 0,
      notice: null,
    },
    ...(data === undefined ? {} : { data }),
  }),
});

const refuse = (code: number, now: Millis): VenueReply => {
  const [status, message] = itemAt(ERRORS, code - FIRST_ERROR);
  return envelope({ status, code, message }, now);
};
const badRequest = (message: string, now: Millis): VenueReply =>
  envelope({ status: 400, code: 400, message }, now);
const invalid = (name: string, value: string, now: Millis): VenueReply =>
  badRequest(`Invalid value for "${name}": "${value}"`, now);

const list = (query: URLSearchParams, name: string): string[] | undefined => query.get(name)?.split(',');

export function createCoinMarketCap({ truth }: { readonly truth: MarketTruth }): RestVenue {
  const assets = listCmcAssets(truth);
  const bySymbol = new Map<string, CmcAsset[]>();
  for (const asset of assets) bySymbol.set(asset.symbol, [...(bySymbol.get(asset.symbol) ?? []), asset]);

  const byParameter = {
    id: new Map(assets.map((asset) => [String(asset.id), [asset]])),
    slug: new Map(assets.map((asset) => [asset.slug, [asset]])),
    symbol: bySymbol,
  };

  const map = ({ query, now }: VenueRequest): VenueReply => {
    const symbols = list(query, 'symbol');
    const found: CmcAsset[] = symbols === undefined ? [...assets] : [];
    for (const symbol of symbols ?? []) {
      const some = bySymbol.get(symbol);
      if (!some) return invalid('symbol', symbol, now);
      found.push(...some);
    }
    const start = (integer(query, 'start') ?? 1) - 1;
    const page = found.slice(start, start + (integer(query, 'limit') ?? found.length));
    const data = page.map((asset) => ({
      id: asset.id,
      rank: asset.rank,
      name: asset.name,
      symbol: asset.symbol,
      slug: asset.slug,
      is_active: 1,
      status: 1,
      first_historical_data: new Date(asset.market.listedAt).toISOString(),
      last_historical_data: new Date(now).toISOString(),
      platform: null,
    }));
    return envelope({ status: 200, code: 0, message: null, credits: 1 }, now, data);
  };

  /** The assets that a query names, by what it names them, or the reply that refuses it. */
  const named = ({ query, now }: VenueRequest): Map<string, CmcAsset[]> | VenueReply => {
    for (const name of ['id', 'slug', 'symbol'] as const) {
      const values = list(query, name);
      if (values === undefined) continue;
      const found = new Map<string, CmcAsset[]>();
      for (const value of values) {
        const some = byParameter[name].get(value);
        if (!some) return invalid(name, value, now);
        // Answers by slug are keyed by id.
        found.set(name === 'slug' ? String(itemAt(some, 0).id) : value, some);
      }
      return found;
    }
    return badRequest('"value" must contain at least one of [id, symbol, slug]', now);
  };

  const quotes = (request: VenueRequest, version: Version): VenueReply => {
    const { query, now } = request;
    const converts = list(query, 'convert') ?? ['USD'];
    const unknown = converts.find((name) => CONVERSION_IDS[name] === undefined);
    if (unknown !== undefined) return invalid('convert', unknown, now);
    const found = named(request);
    if (!(found instanceof Map)) return found;
    const shape = (asset: CmcAsset) => record(asset, converts, { version, now });
    const outcome = { status: 200, code: 0, message: null, credits: converts.length };
    if (version === 'v3') return envelope(outcome, now, [...found.values()].flat().map(shape));
    // v2 lists all assets of a symbol; v1 tells of the highest-ranked one only.
    const several = version === 'v2' && query.has('symbol') && !query.has('id') && !query.has('slug');
    const entries = [...found].map(([key, some]) => [
      key,
      several ? some.map(shape) : some.slice(0, 1).map(shape)[0],
    ]);
    return envelope(outcome, now, Object.fromEntries(entries));
  };

  const keyInfo = (now: Millis): VenueReply => {
    const usage = { credits_used: 0, credits_left: 10_000 };
    const data = {
      plan: { credit_limit_daily: 333, credit_limit_monthly: 10_000, rate_limit_minute: 30 },
      usage: {
        current_minute: { requests_made: 0, requests_left: 30 },
        current_day: usage,
        current_month: usage,
      },
    };
    return envelope({ status: 200, code: 0, message: null }, now, data);
  };

  const handle = (request: VenueRequest): VenueReply => {
    const key = String(request.headers['x-cmc_pro_api_key'] ?? '');
    if (key === '') return refuse(1002, request.now);
    const code = Number(/^error-(10(?:0[1-9]|1[01]))$/.exec(key)?.[1] ?? 0);
    if (code !== 0) return refuse(code, request.now);
    const [, version = '', endpoint = ''] = /^\/(v[123])\/(.+)$/.exec(request.path) ?? [];
    switch (endpoint) {
      case 'cryptocurrency/map':
        return map(request);
      case 'cryptocurrency/quotes/latest':
        return quotes(request, version as Version);
      // Not part of the free plan.
      case 'cryptocurrency/ohlcv/historical':
        return refuse(1006, request.now);
      case 'key/info':
        return keyInfo(request.now);
      default:
        return envelope({ status: 404, code: 404, message: 'Not Found' }, request.now);
    }
  };

  return {
    id: 'coinmarketcap',
    hosts: ['pro-api.coinmarketcap.com'],
    kindOf: (path): RequestKind => {
      if (path.endsWith('/quotes/latest')) return 'ticker';
      return path.endsWith('/map') ? 'markets' : 'other';
    },
    handle,
    errors: {
      rate_limit: refuse(1008, 0),
      unknown_symbol: invalid('symbol', 'NOPE', 0),
      bad_interval: badRequest('"interval" is invalid', 0),
      unavailable: envelope({ status: 500, code: 500, message: 'An internal server error occurred' }, 0),
      maintenance: envelope({ status: 503, code: 503, message: 'Service unavailable' }, 0),
      geo_block: blockPage(403, 'pro-api.coinmarketcap.com'),
      auth: refuse(1001, 0),
    },
  };
}
