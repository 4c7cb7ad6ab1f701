// Entry of a worker: processes start without the TypeScript loader of the main one.
import { register } from 'tsx/esm/api';

register();
await import('./worker.ts');
