/** Documents as programs: their code blocks, and what it means that an answer has the shape that a document shows. */

export interface Block {
  /** The fence's info string: sh, json, http … */
  readonly language: string;
  readonly text: string;
  /** `<!-- run: node -->` in front of the block; null without one. */
  readonly marker: string | null;
  /** For the test's name: the document and the nearest heading above. */
  readonly heading: string;
}

const FENCE = /^```(\w*)\n([\s\S]*?)^```$/gm;
const MARKER = /<!-- run: (\w+) -->\s*$/;

const lastHeading = (before: string): string => [...before.matchAll(/^#{1,4} (.*)$/gm)].at(-1)?.[1] ?? 'top';

/** All fenced blocks in order. */
export const blocksOf = (markdown: string, path: string): Block[] =>
  [...markdown.matchAll(FENCE)].map(({ 1: language = '', 2: text = '', index }) => {
    const before = markdown.slice(0, index);
    return {
      language,
      text,
      marker: MARKER.exec(before)?.[1] ?? null,
      heading: `${path}, ${lastHeading(before)}`,
    };
  });

export interface Example {
  readonly name: string;
  readonly command: string;
  /** The block right after the command: what it answers. */
  readonly answer: Block;
}

/** Every `curl` of the sh blocks with the block that follows it. Throws where a command shows no answer. */
export const examplesOf = (blocks: readonly Block[]): Example[] =>
  blocks.flatMap((block, index) => {
    const command = block.text.trim();
    if (block.language !== 'sh' || !command.includes('curl')) return [];
    const answer = blocks[index + 1];
    if (answer === undefined || !['json', 'http', 'text'].includes(answer.language))
      throw new Error(`No answer follows: ${command}`);
    return [{ name: `${block.heading}: ${command}`, command, answer }];
  });

/** What a document writes for what it leaves out, as a member, an array's last element or a whole value. */
const ELLIPSIS = '…';

const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const typeOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;

const differInArray = (shown: readonly unknown[], actual: readonly unknown[], path: string): string[] => {
  const elided = shown.at(-1) === ELLIPSIS;
  const patterns = elided ? shown.slice(0, -1) : shown;
  if (patterns.length !== actual.length && !elided)
    return [`${path}: shown with ${patterns.length} elements, there are ${actual.length}`];
  return patterns.flatMap((pattern, index) => differences(pattern, actual[index], `${path}[${index}]`));
};

/** Where `actual` has other members or types than `shown`, a line each; empty where the shapes are the same. */
export const differences = (shown: unknown, actual: unknown, path = '$'): string[] => {
  if (shown === ELLIPSIS || (isTable(shown) && ELLIPSIS in shown)) return [];
  if (Array.isArray(shown) && Array.isArray(actual)) return differInArray(shown, actual, path);
  if (typeOf(shown) !== typeOf(actual)) return [`${path}: shown as ${typeOf(shown)}, is ${typeOf(actual)}`];
  if (!isTable(shown) || !isTable(actual)) return [];
  const missing = Object.keys(shown).filter((key) => !Object.hasOwn(actual, key));
  const extra = Object.keys(actual).filter((key) => !Object.hasOwn(shown, key));
  return [
    ...missing.map((key) => `${path}.${key}: shown, but not in the answer`),
    ...extra.map((key) => `${path}.${key}: in the answer, but not shown`),
    ...Object.keys(shown)
      .filter((key) => Object.hasOwn(actual, key))
      .flatMap((key) => differences(shown[key], actual[key], `${path}.${key}`)),
  ];
};
