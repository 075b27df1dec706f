/** Which forms (JSON, CSV) one address offers, how the client's choice is read, and under which file name. */
import { accepts, qualityOf } from './accept.js';
import type { HeaderPair } from './common-headers.js';

/** Forms that differ in their media type; representations.ts compresses each. */
export type MediaForm = 'json' | 'csv';

export interface Presentation {
  /** Presentations of one name make the same headers for the same answer. */
  readonly name: string;
  /** The form for a client that sent this Accept; null: it takes none that there is. */
  readonly formFor: (accept: string | undefined) => MediaForm | null;
  /** Accept belongs to what the answer varies by. */
  readonly varies: boolean;
  /** Of a 200 in this form, beside what says how to read it. */
  readonly headersOf: (form: MediaForm) => readonly HeaderPair[];
}

const NONE: readonly HeaderPair[] = [];

/** Whether an Accept header accepts JSON. */
export const acceptsJson = (accept: string | undefined): boolean => accepts(accept, 'application/json');

export const JSON_ONLY: Presentation = {
  name: 'json',
  formFor: (accept) => (acceptsJson(accept) ? 'json' : null),
  varies: false,
  headersOf: () => NONE,
};

/** CSV where it is preferred, or as well and by its name where JSON is covered by a wildcard. */
const chooseForm = (accept: string): MediaForm | null => {
  if (accept === '') return 'json';
  const [json, csv] = [qualityOf(accept, 'application/json'), qualityOf(accept, 'text/csv')];
  if (json.q === 0 && csv.q === 0) return null;
  if (csv.q !== json.q) return csv.q > json.q ? 'csv' : 'json';
  return csv.specificity > json.specificity ? 'csv' : 'json';
};

/** The last header that had to be read and what came of it: clients of one kind send the same one with every request. */
let last: { readonly accept: string; readonly form: MediaForm | null } = { accept: '', form: 'json' };

const negotiatedForm = (accept: string | undefined): MediaForm | null => {
  if (accept === undefined || accept === '*/*' || accept === 'application/json') return 'json';
  if (accept !== last.accept) last = { accept, form: chooseForm(accept) };
  return last.form;
};

export interface CandleView {
  /** undefined: Accept decides. */
  readonly format: MediaForm | undefined;
  /** Name of the file without its ending; null: the answer is shown, not saved. */
  readonly fileStem: string | null;
}

export const candlePresentation = ({ format, fileStem }: CandleView): Presentation => ({
  name: `candles ${format ?? 'by Accept'} ${fileStem ?? ''}`,
  formFor: format === undefined ? negotiatedForm : () => format,
  varies: true,
  headersOf: (form) => (fileStem === null ? NONE : [attachment(`${fileStem}.${form}`)]),
});

/** Content-Disposition of an answer that is to be saved (RFC 6266); `fileName` from `fileStem`. */
export const attachment = (fileName: string): HeaderPair => [
  'content-disposition',
  `attachment; filename="${fileName}"`,
];

/** A file name of letters, digits and hyphens for a series of candles, without ending. */
export const fileStem = (exchange: string, symbol: string, interval: string): string =>
  [exchange, symbol.replace(/[^A-Za-z0-9]+/g, '-'), interval].join('-');
