import { Parser } from '@asyncapi/parser';
import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { AUTH_MODES } from '../../../../src/schemas/access.js';
import { asyncApiDocument } from '../../../../src/schemas/asyncapi.js';

type Parsed = Awaited<ReturnType<Parser['parse']>>;
let document: Parsed['document'];
const parsed = new Map<string, Parsed>();

/** The parser takes seconds on a busy machine. */
const PATIENCE_MS = 60_000;

beforeAll(async () => {
  // One for all modes: it compiles AsyncAPI's own schema first.
  const parser = new Parser();
  for (const mode of AUTH_MODES)
    parsed.set(mode, await parser.parse(JSON.stringify(asyncApiDocument({ version: '1.2.3', mode }))));
  document = parsed.get('off')?.document;
}, PATIENCE_MS);

test.each(AUTH_MODES)("the document is valid AsyncAPI 3 in the parser's own judgement, %s", (mode) => {
  const { diagnostics = [] } = parsed.get(mode) ?? {};
  expect(document).toBeDefined();
  expect(diagnostics.filter(({ severity }) => [0, 1].includes(severity))).toEqual([]);
  expect(document?.version()).toBe('3.0.0');
  expect(document?.info().version()).toBe('1.2.3');
});

test('it describes the three streams at their addresses', () => {
  const addresses = document!
    .channels()
    .all()
    .map((channel) => channel.address());
  expect(addresses).toEqual(['/v1/stream/ticker', '/ws/ticker', '/ws']);
});

test('every message has a payload whose properties come from the zod schemas', () => {
  const payloads = new Map(
    document!
      .messages()
      .all()
      .map((message) => [message.name(), message.payload()!.json()] as const),
  );
  expect(payloads.get('TickerEvent')).toMatchObject({
    properties: { event_type: { const: 'ticker' }, price_change_percent: { type: 'number' } },
    required: expect.arrayContaining(['bid', 'ask', 'last']),
  });
  expect(payloads.get('SubscribeMessage')).toMatchObject({ properties: { method: { const: 'subscribe' } } });
  expect(payloads.size).toBe(19);
});

const secured = z.looseObject({
  operations: z.record(
    z.string(),
    z.looseObject({ security: z.array(z.object({ $ref: z.string() })).optional() }),
  ),
  components: z.looseObject({ securitySchemes: z.record(z.string(), z.looseObject({})).optional() }),
});

test.each(AUTH_MODES)('each operation tells how a credential is sent, with AUTH_MODE=%s', (mode) => {
  const { operations, components } = secured.parse(asyncApiDocument({ version: '1.2.3', mode }));
  const schemes = Object.entries(components.securitySchemes ?? {});
  expect(schemes).toMatchObject(
    mode === 'off'
      ? []
      : [
          ['bearer', { type: 'http', scheme: 'bearer' }],
          ['apiKey', { type: 'httpApiKey', in: 'header', name: 'X-API-Key' }],
          ['ticket', { type: 'httpApiKey', in: 'query', name: 'ticket' }],
        ],
  );
  const refs = schemes.map(([name]) => ({ $ref: `#/components/securitySchemes/${name}` }));
  expect(Object.keys(operations)).toHaveLength(4);
  for (const { security } of Object.values(operations)) expect(security ?? []).toEqual(refs);
});
