/**
 * The registry behind `/metrics`. Only this module depends on prom-client, which brings a hundred files: it is loaded at
 * the first scrape.
 */
import { collectDefaultMetrics, Counter, Gauge, Registry as PrometheusRegistry } from 'prom-client';
import { PREFIX, type Registry } from './families.js';

export interface ScrapedRegistry extends Registry {
  /** All families in Prometheus' text format. */
  text(): Promise<string>;
}

/** With the metrics of the process, which bring observers of the event loop and the garbage collector. */
export const createRegistry = (): ScrapedRegistry => {
  const registry = new PrometheusRegistry();
  collectDefaultMetrics({ register: registry });
  const histograms: { text(): string }[] = [];
  return {
    addCounter({ name, help, labels = [], samples }) {
      const counter = new Counter({
        name: PREFIX + name,
        help,
        labelNames: labels,
        registers: [registry],
        collect() {
          counter.reset();
          for (const [value, of = {}] of samples()) counter.inc(of, value);
        },
      });
    },
    addGauge({ name, help, labels = [], samples }) {
      const gauge = new Gauge({
        name: PREFIX + name,
        help,
        labelNames: labels,
        registers: [registry],
        collect() {
          gauge.reset();
          // A reset leaves the series of a family without labels at 0; it is removed, so that no sample means no series.
          if (labels.length === 0) gauge.remove();
          for (const [value, of = {}] of samples()) gauge.set(of, value);
        },
      });
    },
    addHistogram(histogram) {
      histograms.push(histogram);
    },
    text: async () =>
      [await registry.metrics(), ...histograms.map((histogram) => histogram.text())].join('\n'),
  };
};
