// With AUTH_MODE=required and a candle store, coverage and status of GraphQL are those of REST.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildSchema, getNamedType, isObjectType, isScalarType, type GraphQLObjectType } from 'graphql';
import { camelCase } from '../../../src/graphql/schema/from-zod.js';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { testFolder } from '../access/access-app.js';
import { PlansRig, startVenues } from '../access/plans-rig.js';

let venues: Sandbox;
let folder: ReturnType<typeof testFolder>;
let rig: PlansRig;
let key: string;
beforeAll(async () => {
  venues = await startVenues();
  folder = testFolder();
  rig = await PlansRig.start(venues, folder.file, { STORE_URL: `sqlite:${folder.file}.candles` });
  ({ key } = await rig.issue({ scopes: ['market:read', 'history:read'] }));
});
afterAll(async () => {
  rig.app.server.closeAllConnections();
  await rig.close();
  await venues.close();
  await folder.end();
});

const ask = async (query: string, credential: string | null = key) => {
  const headers = credential === null ? {} : { authorization: `Bearer ${credential}` };
  const answer = await rig.app.inject({ method: 'POST', url: '/graphql', headers, payload: { query } });
  return {
    status: answer.statusCode,
    body: answer.json<{ data?: Record<string, Record<string, unknown>> }>(),
  };
};

/** Every field but `meta`. */
const fieldsOf = (type: GraphQLObjectType): string =>
  Object.values(type.getFields())
    .filter(({ name }) => name !== 'meta')
    .map((field) => {
      const inner = getNamedType(field.type);
      return isObjectType(inner)
        ? `${field.name} { ${fieldsOf(inner)} }`
        : isScalarType(inner)
          ? field.name
          : '';
    })
    .join(' ');
const selectionOf = async (name: string): Promise<string> => {
  const type = buildSchema((await rig.get('/schema.graphql', key)).body).getType(name);
  if (!isObjectType(type)) throw new Error(`no type ${name}`);
  return fieldsOf(type);
};

/** Names in camelCase; what is null is left out, since REST leaves out what GraphQL tells as null. */
const normal = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(normal);
  if (value === null || typeof value !== 'object') return value;
  const members = Object.entries(value).filter(([, member]) => member !== null && member !== undefined);
  return Object.fromEntries(members.map(([name, member]) => [camelCase(name), normal(member)]));
};

test('every field of coverage equals the same field of REST', async () => {
  const market = 'exchange=binance&symbol=BTC/USDT&interval=1h';
  expect((await rig.get(`/v1/markets/ohlcv?${market}&limit=20`, key)).statusCode).toBe(200);
  const rest = async () =>
    (await rig.get(`/v1/markets/ohlcv/coverage?${market}`, key)).json<{ ranges: unknown[] }>();
  await expect.poll(async () => (await rest()).ranges.length).toBeGreaterThan(0);
  const query = `{ coverage(exchange: "binance", symbol: "BTC/USDT", interval: "1h") { ${await selectionOf('Coverage')} meta { source cache } } }`;
  const { body } = await ask(query);
  const { meta, ...coverage } = body.data?.['coverage'] ?? {};
  expect(normal(coverage)).toEqual(normal(await rest()));
  expect(meta).toEqual({ source: 'sandbox', cache: 'STORE' });
});

test('every field of status equals the same field of REST, but for those that count time', async () => {
  const query = `{ status { ${await selectionOf('Status')} } }`;
  const still = (status: unknown): unknown =>
    JSON.parse(
      JSON.stringify(normal(status)).replace(
        /"(uptime|resetsInMs|oldestTickAgeMs|marketsAgeMs|remaining)":[\d.]+/g,
        '"$1":0',
      ),
    );
  // What is written to the store between the two questions may differ once.
  const both = async (): Promise<readonly unknown[]> => [
    still((await ask(query)).body.data?.['status']),
    still((await rig.get('/v1/status', key)).json()),
  ];
  await expect
    .poll(async () => {
      const [ours, theirs] = await both();
      expect(ours).toEqual(theirs);
      return Object.keys(ours as object);
    })
    .toEqual(expect.arrayContaining(['uptime', 'features', 'exchanges', 'ledger']));
});

test.each(['{ status { version } }', '{ coverage(exchange: "binance", symbol: "BTC/USDT") { symbol } }'])(
  '%s needs a credential',
  async (query) => {
    const { status, body } = await ask(query, null);
    expect([status, body]).toEqual([401, expect.objectContaining({ code: 'unauthenticated' })]);
  },
);
