// Entry of a decoding thread: threads start without the TypeScript loader of the main one.
import { register } from 'tsx/esm/api';

register();
await import('./decode-worker.ts');
