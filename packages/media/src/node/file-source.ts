/** A file on disk as what videos are read from. */
import { type FileHandle, open } from 'node:fs/promises';
import { CustomSource } from 'mediabunny';
import type { VideoSource } from '../index.ts';
import { checkReadable } from './readable.ts';

/** @throws InvalidFileError unless there is a file at `path`, not empty, that may be read. */
export async function fileSource(path: string): Promise<VideoSource> {
  await checkReadable(path, 'video');
  const handle = await open(path, 'r');
  const { size } = await handle.stat();
  const read = (from: number, to: number) => readAt(handle, from, to);
  const close = () => void handle.close().catch(() => {});
  return {
    ...{ name: path, size, read, close },
    demuxer: (end) =>
      new CustomSource({ getSize: () => end, read, dispose: close, prefetchProfile: 'fileSystem' }),
  };
}

async function readAt(handle: FileHandle, from: number, to: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.max(0, to - from));
  let done = 0;
  while (done < bytes.length) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, from + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}
