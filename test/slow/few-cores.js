// Preloaded into a server of thousands of topics on two cores, as if it were started with `node --heap-growing-percent=200`: V8
// collects all garbage where the heap has grown to three times what is in use, not by a third, which is every 20 s. Tests only.
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--heap-growing-percent=200');
