import { Parser } from '@asyncapi/parser';
import { beforeAll, expect, test } from 'vitest';
import { asyncApiDocument } from '../../../../src/schemas/asyncapi.js';

type Parsed = Awaited<ReturnType<Parser['parse']>>;
let document: Parsed['document'];
let diagnostics: Parsed['diagnostics'];

/** The parser takes seconds on a busy machine. */
const PATIENCE_MS = 60_000;

beforeAll(async () => {
  ({ document, diagnostics } = await new Parser().parse(
    JSON.stringify(asyncApiDocument({ version: '1.2.3' })),
  ));
}, PATIENCE_MS);

test("the document is valid AsyncAPI 3 in the parser's own judgement, without errors or warnings", () => {
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
  expect(payloads.size).toBe(17);
});
