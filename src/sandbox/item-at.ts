/** @throws RangeError where the list has no such item */
export function itemAt<T>(list: ArrayLike<T>, index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`no item ${index} of ${list.length}`);
  return item;
}

/** The same of numbers alone, apart for speed: this one is called for every slot. */
export function numberAt(list: Float64Array, index: number): number {
  const item = list[index];
  if (item === undefined) throw new RangeError(`no number ${index} of ${list.length}`);
  return item;
}
