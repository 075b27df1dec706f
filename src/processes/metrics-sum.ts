/**
 * One answer of `/metrics` for several processes: counters and histograms are summed, gauges say whose they are. Reads and
 * writes Prometheus' text format, https://prometheus.io/docs/instrumenting/exposition_formats/
 */

type Kind = 'counter' | 'gauge' | 'histogram';

interface Family {
  readonly help: string;
  readonly kind: Kind;
  /** By name and labels, as they stand in the text. */
  readonly samples: Map<string, number>;
}

/** By name. */
export type Families = Map<string, Family>;

const META = /^# (HELP|TYPE) (\S+) (.*)$/;
const SAMPLE = /^([^\s{]+(?:\{.*\})?) (\S+)$/;
/** Of a sample of a histogram, to its family. */
const PART = /_(?:bucket|sum|count)$/;

const numberOf = (text: string): number =>
  text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
const numberText = (value: number): string =>
  value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);

const kindOf = (text: string): Kind => (text === 'counter' || text === 'histogram' ? text : 'gauge');

export const readMetrics = (text: string): Families => {
  const families: Families = new Map();
  const helps = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, what, name = '', rest = ''] = META.exec(line) ?? [];
    if (what === 'HELP') helps.set(name, rest);
    if (what === 'TYPE')
      families.set(name, { help: helps.get(name) ?? '', kind: kindOf(rest), samples: new Map() });
    if (line.startsWith('#')) continue;
    const [, series, value = ''] = SAMPLE.exec(line) ?? [];
    if (series === undefined) continue;
    const bare = series.split('{', 1)[0] ?? series;
    const family = families.get(bare) ?? families.get(bare.replace(PART, ''));
    family?.samples.set(series, numberOf(value));
  }
  return families;
};

const labelled = (series: string, process: string): string => {
  const label = `process="${process}"`;
  return series.endsWith('}') ? `${series.slice(0, -1)},${label}}` : `${series}{${label}}`;
};

/** Adds the families of one process to a sum. `process`: null leaves gauges out, as those of a process that is gone. */
export const addMetrics = (sum: Families, added: Families, process: string | null): void => {
  for (const [name, { help, kind, samples }] of added) {
    if (kind === 'gauge' && process === null) continue;
    let family = sum.get(name);
    if (family === undefined) sum.set(name, (family = { help, kind, samples: new Map() }));
    for (const [series, value] of samples)
      if (kind !== 'gauge') family.samples.set(series, (family.samples.get(series) ?? 0) + value);
      else if (process !== null) family.samples.set(labelled(series, process), value);
  }
};

export const metricsText = (families: Families): string =>
  [...families]
    .map(([name, { help, kind, samples }]) =>
      [
        `# HELP ${name} ${help}`,
        `# TYPE ${name} ${kind}`,
        ...[...samples].map(([series, value]) => `${series} ${numberText(value)}`),
        '',
      ].join('\n'),
    )
    .join('\n');
