/** A tool, independent of the MCP SDK. */
import type { z } from 'zod';
import type { Millis } from '../schemas/common.js';
import { ignoredText, readArguments } from './arguments.js';
import type { Provenance } from './tool-schemas.js';

export interface ToolAnswer {
  /** The data with its provenance, as the tool's output schema has it. */
  readonly structured: Readonly<Record<string, unknown>> & Provenance;
  /** The same data as compact text; the provenance's sentences are added for all tools in one place. */
  readonly text: string;
  /** The answer may be cached until this time (ms since the epoch); a time in the past means it is stale. */
  readonly freshUntil: Millis;
}

/** Of the request that a server is made for: who sent it. The HTTP route sets it, whatever the client sent. */
export const CLIENT_HEADER = 'x-client-key';

/** What the caller's plan lets it ask for. Throws `plan_forbids`, for candles that cost more than is left `quota_exceeded`. */
export interface CallLimits {
  /** `exchange` is a CCXT id. */
  requireExchange(exchange: string): void;
  /** How many candles the caller gets who asked for `limit`; `fallback` without one. */
  candles(limit: number | undefined, fallback: number): number;
  /** false: no history is fetched behind its answers. */
  readonly mayBackfill: boolean;
  /** A good answer was given; `candles`: how many were asked for, where it holds some. */
  answered(candles: number | null): void;
}

/** Names the limits of a request to the server that is made for it. The HTTP route sets it, whatever the client sent. */
export const LIMITS_HEADER = 'x-call-limits';

/** The context of a call beside its arguments. */
export interface ToolCall {
  readonly signal: AbortSignal;
  /** The client's id; calls that wait for a venue take turns by client. undefined: the only client (stdio). */
  readonly client?: string | undefined;
  /** undefined: nothing is limited. */
  readonly limits?: CallLimits | undefined;
}

export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: z.ZodObject;
  readonly output: z.ZodType;
  /** true: the answer comes from outside this server. */
  readonly openWorld: boolean;
  /** `args` as a client sent them; rejects with an AppError, for arguments that are not valid with `invalid_request`. */
  readonly run: (args: unknown, call: ToolCall) => Promise<ToolAnswer>;
}

/** Keeps the type of the arguments between a tool's schema and its function. */
export const defineTool = <Input extends z.ZodObject>({
  run,
  ...tool
}: Omit<Tool, 'run' | 'input'> & {
  readonly input: Input;
  readonly run: (
    args: z.output<Input>,
    call: ToolCall & {
      /** Whether the client gave the argument. */ readonly gave: (name: string) => boolean;
    },
  ) => Promise<ToolAnswer>;
}): Tool => ({
  ...tool,
  run: async (given, call) => {
    const { args, ignored } = readArguments(tool.input, given);
    const gave = (name: string): boolean =>
      typeof given === 'object' && given !== null && Object.hasOwn(given, name);
    const answer = await run(args, { ...call, gave });
    const note = ignoredText(ignored, tool.input);
    return note === null ? answer : { ...answer, text: `${answer.text}\n${note}` };
  },
});
