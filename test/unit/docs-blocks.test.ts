// The comparison behind test/e2e/readme.test.ts: it must notice what a reader of the documents would stumble over.
import { describe, expect, it } from 'vitest';
import { blocksOf, differences, examplesOf } from '../e2e/readme-blocks.js';

describe('the comparison of an answer with the one shown', () => {
  const shown = {
    symbol: 'BTC/USD',
    bid: 1,
    raw: { a: ['1'] },
    candles: [{ closed: true }, { closed: false }],
  };

  it('takes other values of the same types', () => {
    const actual = { ...shown, symbol: 'ETH/USD', bid: 2.5, raw: { a: ['9'] } };
    expect(differences(shown, actual)).toEqual([]);
  });

  it('names a member that is missing, added or of another type, however deep', () => {
    expect(differences(shown, { ...shown, bid: null })).toEqual(['$.bid: shown as number, is null']);
    expect(differences(shown, { ...shown, extra: 1 })).toEqual(['$.extra: in the answer, but not shown']);
    expect(differences(shown, { ...shown, raw: {} })).toEqual(['$.raw.a: shown, but not in the answer']);
    expect(differences(shown, { ...shown, candles: [{ closed: true }, { closed: 0 }] })).toEqual([
      '$.candles[1].closed: shown as boolean, is number',
    ]);
  });

  it('counts the elements of an array, unless the rest is left out', () => {
    expect(differences([1], [1, 2])).toEqual(['$: shown with 1 elements, there are 2']);
    expect(differences([1, '…'], [1, 2, 3])).toEqual([]);
    expect(differences([1, '…'], ['a'])).toEqual(['$[0]: shown as number, is string']);
    expect(differences({ raw: { '…': '…' } }, { raw: { any: 'thing' } })).toEqual([]);
  });
});

describe('the examples of a document', () => {
  it('are commands with the answer that follows', () => {
    const text =
      '## Part\n\n```sh\ncurl x\n```\n\nwords\n\n```json\n{}\n```\n\n<!-- run: node -->\n\n```js\n1;\n```\n';
    const blocks = blocksOf(text, 'a.md');
    expect(examplesOf(blocks)).toMatchObject([
      { name: 'a.md, Part: curl x', command: 'curl x', answer: { language: 'json', text: '{}\n' } },
    ]);
    expect(blocks[2]).toMatchObject({ language: 'js', marker: 'node', heading: 'a.md, Part' });
  });

  it('may not lack an answer', () => {
    expect(() => examplesOf(blocksOf('```sh\ncurl x\n```\n', 'a.md'))).toThrow('No answer follows: curl x');
  });
});
