/** Work that is done once for the whole process, and again where it failed. */

/** `load`'s promise, shared by all callers; one that rejected is forgotten, so that the next caller tries again. */
export const untilLoaded = <T>(load: () => Promise<T>): (() => Promise<T>) => {
  let loading: Promise<T> | undefined;
  return () => {
    if (loading !== undefined) return loading;
    const mine = load();
    loading = mine;
    mine.catch(() => {
      if (loading === mine) loading = undefined;
    });
    return mine;
  };
};
