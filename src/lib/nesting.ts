/** How deeply a JSON value nests. JSON.parse takes any depth; JSON.stringify overflows the stack from some thousands of levels. */

/** Whether objects and arrays lie within one another for more than so many levels; a value that is neither has none. */
export const nestsDeeperThan = (value: unknown, levels: number): boolean => {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const member of Array.isArray(value) ? (value as readonly unknown[]) : Object.values(value))
    if (nestsDeeperThan(member, levels - 1)) return true;
  return false;
};
