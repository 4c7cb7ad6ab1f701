/** A process of its own with a device of its own: gets requests, makes the clips' files, answers one by one. */
import { openNodeDevice } from '@dwm/core-tensor/node';
import { ClipMaker, type ClipRequest, type ClipResult } from './make-clip.ts';
import { readParts } from './read-parts.ts';

export interface WorkerAnswer {
  readonly result?: ClipResult;
  readonly adapter?: string;
  readonly error?: string;
}

const [, , root, parts] = process.argv;
const send = (answer: WorkerAnswer) => process.send!(answer);

// The parent is gone.
process.on('disconnect', () => process.exit(0));

try {
  const device = await openNodeDevice();
  const maker = new ClipMaker(device, parts === undefined ? [] : await readParts(parts, () => {}));
  send({ adapter: device.caps.adapter.description || device.caps.adapter.device });
  let last = Promise.resolve();
  process.on('message', (request: ClipRequest) => {
    last = last.then(async () => {
      try {
        send({ result: await maker.make(root, request) });
      } catch (error) {
        send({ error: `seed ${request.seed}: ${error instanceof Error ? error.message : String(error)}` });
      }
    });
  });
} catch (error) {
  send({ error: error instanceof Error ? error.message : String(error) });
}
