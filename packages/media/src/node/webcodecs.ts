/**
 * WebCodecs for Node: FFmpeg behind the browser's interface, installed as globals the first time a video is
 * read or written, so that programs which never touch a video do not load it.
 */
import { DwmError } from '@dwm/core-tensor';

let installed: Promise<void> | undefined;

/** Defines VideoDecoder, VideoEncoder and their relatives; does nothing the second time. */
export function installWebCodecs(): Promise<void> {
  installed ??= import('@napi-rs/webcodecs/polyfill').then(handleFlush, (error: Error) => {
    throw new DwmError(
      'no-webcodecs',
      `@napi-rs/webcodecs does not load on ${process.platform}-${process.arch} (${error.message.split('\n')[0]}); npm install @napi-rs/webcodecs`,
    );
  });
  return installed;
}

/**
 * A decoder that stumbles over damaged data reports that, and fails to flush too. Whoever gave up after the report
 * waits for no flush, and Node ends a process whose promises fail unheard.
 */
function handleFlush(): void {
  const { flush } = VideoDecoder.prototype;
  VideoDecoder.prototype.flush = function () {
    const flushed = flush.call(this);
    flushed.catch(() => {});
    return flushed;
  };
}
