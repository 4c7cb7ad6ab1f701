/** A decoding thread: every question is answered by one message, and the next comes only after it. */
import { parentPort } from 'node:worker_threads';
import { DwmError } from '@dwm/core-tensor';
import { readVideo, videoInfo } from '@dwm/media/node';
import type { FromWorker, ToWorker } from './clip-reader.ts';

const port = parentPort!;

async function answer(question: Exclude<ToWorker, { kind: 'end' }>): Promise<FromWorker> {
  try {
    if (question.kind === 'count') {
      return { kind: 'frames', frames: (await videoInfo(question.path)).frames };
    }
    let remark: string | undefined;
    const warn = (line: string) => {
      remark = line;
    };
    const clip = await readVideo(question.path, { indices: question.indices, warn });
    return { kind: 'clip', clip, remark };
  } catch (error) {
    const { code, details } = error instanceof DwmError ? error : {};
    const message = error instanceof Error ? error.message : String(error);
    return { kind: 'error', message, code, details };
  }
}

port.on('message', async (question: ToWorker) => {
  if (question.kind === 'end') {
    port.close();
    return;
  }
  const reply = await answer(question);
  // Pixels change hands, they are not copied.
  port.postMessage(reply, reply.kind === 'clip' ? [reply.clip.data.buffer as ArrayBuffer] : []);
});
