import { describe, expect, it, vi } from 'vitest';
import { createSingleFlight } from '../../../src/lib/single-flight.js';

/** A flight that lands when the test says so, with a count of its starts. */
const fakeSource = () => {
  const flights: { signal: AbortSignal; resolve: (value: string) => void; reject: (error: Error) => void }[] =
    [];
  return {
    flights,
    start: (signal: AbortSignal) =>
      new Promise<string>((resolve, reject) => flights.push({ signal, resolve, reject })),
  };
};

describe('single flight', () => {
  it('starts once for callers that come together, and again after it has landed', async () => {
    const source = fakeSource();
    const flight = createSingleFlight<string>();
    const both = Promise.all([flight.run('a', source.start), flight.run('a', source.start)]);
    expect(flight.size).toBe(1);
    source.flights[0]!.resolve('first');
    expect(await both).toEqual(['first', 'first']);
    expect(flight.size).toBe(0);
    const later = flight.run('a', source.start);
    source.flights[1]!.resolve('second');
    expect(await later).toBe('second');
  });

  it('keeps keys apart', async () => {
    const flight = createSingleFlight<string>();
    const answers = await Promise.all(
      ['a', '__proto__'].map((key) => flight.run(key, async () => Promise.resolve(key))),
    );
    expect(answers).toEqual(['a', '__proto__']);
  });

  it('gives everyone the rejection and forgets it', async () => {
    const source = fakeSource();
    const flight = createSingleFlight<string>();
    const both = Promise.allSettled([flight.run('a', source.start), flight.run('a', source.start)]);
    source.flights[0]!.reject(new Error('down'));
    expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(flight.size).toBe(0);
    expect(await flight.run('a', async () => Promise.resolve('up'))).toBe('up');
  });

  it('forgets a flight whose start throws at once', async () => {
    const flight = createSingleFlight<string>();
    const run = flight.run('a', () => {
      throw new Error('never took off');
    });
    await expect(run).rejects.toThrow('never took off');
    expect(flight.size).toBe(0);
  });

  it('lets one caller leave without harm to the others', async () => {
    const source = fakeSource();
    const flight = createSingleFlight<string>();
    const quitter = new AbortController();
    const left = flight.run('a', source.start, quitter.signal);
    const stayed = flight.run('a', source.start, new AbortController().signal);
    quitter.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    expect(source.flights[0]!.signal.aborted).toBe(false);
    source.flights[0]!.resolve('landed');
    expect(await stayed).toBe('landed');
  });

  it('aborts the flight when the last caller leaves, and does not let a newcomer join it', async () => {
    const source = fakeSource();
    const flight = createSingleFlight<string>();
    const quitters = [new AbortController(), new AbortController()];
    const left = quitters.map(({ signal }) => flight.run('a', source.start, signal));
    quitters.forEach((quitter) => quitter.abort(new Error('gone')));
    expect((await Promise.allSettled(left)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(source.flights[0]!.signal.aborted).toBe(true);
    const fresh = flight.run('a', source.start);
    source.flights[0]!.reject(new Error('aborted'));
    await Promise.resolve();
    expect(flight.size).toBe(1); // the abandoned flight's landing does not clear its successor
    source.flights[1]!.resolve('fresh');
    expect(await fresh).toBe('fresh');
  });

  it('is never aborted while someone without a signal waits', async () => {
    const source = fakeSource();
    const flight = createSingleFlight<string>();
    const quitter = new AbortController();
    const stayed = flight.run('a', source.start);
    const left = flight.run('a', source.start, quitter.signal);
    quitter.abort();
    await expect(left).rejects.toThrow();
    expect(source.flights[0]!.signal.aborted).toBe(false);
    source.flights[0]!.resolve('landed');
    expect(await stayed).toBe('landed');
  });

  it('starts nothing for a caller who has left already', async () => {
    const source = fakeSource();
    const flight = createSingleFlight<string>();
    await expect(flight.run('a', source.start, AbortSignal.abort())).rejects.toThrow();
    expect(source.flights).toHaveLength(0);
  });

  it('leaves no listener on a signal that outlives the flight', async () => {
    const flight = createSingleFlight<string>();
    const { signal } = new AbortController();
    const add = vi.spyOn(signal, 'addEventListener');
    const remove = vi.spyOn(signal, 'removeEventListener');
    await flight.run('a', async () => Promise.resolve('x'), signal);
    expect(remove.mock.calls.map(([, listener]) => listener)).toEqual(
      add.mock.calls.map(([, listener]) => listener),
    );
    expect(add).toHaveBeenCalledTimes(1);
  });
});
