/** A Dockerfile as data: enough of https://docs.docker.com/reference/dockerfile/ for our own. */

export interface Instruction {
  /** Upper case: FROM, COPY, RUN … */
  readonly name: string;
  /** Line continuations joined, comments between them left out. */
  readonly text: string;
  readonly line: number;
}

export interface Stage {
  /** The name after AS, or the stage's number. */
  readonly name: string;
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

export const parseInstructions = (source: string): Instruction[] => {
  const found: Instruction[] = [];
  let parts: string[] = [];
  let line = 0;
  source.split('\n').forEach((raw, index) => {
    const trimmed = raw.trim();
    if (trimmed === '' || trimmed.startsWith('#')) return;
    if (parts.length === 0) line = index + 1;
    const continues = trimmed.endsWith('\\');
    parts.push(continues ? trimmed.slice(0, -1).trim() : trimmed);
    if (continues) return;
    const [, name = '', text = ''] = /^(\S+)\s*(.*)$/.exec(parts.join(' ')) ?? [];
    found.push({ name: name.toUpperCase(), text, line });
    parts = [];
  });
  if (parts.length > 0) throw new Error('The Dockerfile ends within an instruction.');
  return found;
};

/** The stages in their order; instructions before the first FROM (ARG) are not ours and refused. */
export const parseStages = (source: string): Stage[] => {
  const stages: { name: string; base: string; instructions: Instruction[] }[] = [];
  for (const instruction of parseInstructions(source)) {
    if (instruction.name === 'FROM') {
      const [, base = '', name] = /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(instruction.text) ?? [];
      stages.push({ name: name ?? String(stages.length), base, instructions: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage === undefined) throw new Error(`line ${instruction.line}: ${instruction.name} before FROM`);
    stage.instructions.push(instruction);
  }
  return stages;
};

/** `KEY=value KEY2=value` of an ENV. */
export const parseEnv = (text: string): Record<string, string> =>
  Object.fromEntries(
    [...text.matchAll(/([A-Z_][A-Z0-9_]*)=(\S+)/g)].map(([, key = '', value = '']) => [key, value]),
  );

/** The exec form (`["node", "x"]`); throws for the shell form. */
export const parseExec = (text: string): string[] => {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed) || !parsed.every((item): item is string => typeof item === 'string'))
    throw new Error(`not in exec form: ${text}`);
  return parsed;
};
