/**
 * VP8 and VP9 carry transparency as a second video beside the first. The demuxer would decode and merge both with
 * workers of a browser; frames here have no alpha, so only the first is decoded.
 */
import {
  CustomVideoDecoder,
  type EncodedPacket,
  registerDecoder,
  type VideoCodec,
  VideoSample,
} from 'mediabunny';

class OpaqueDecoder extends CustomVideoDecoder {
  #decoder: VideoDecoder | undefined;
  /** Exact times by those that the decoder counts in, whole microseconds. */
  readonly #times = new Map<number, { timestamp: number; duration: number }>();

  static override supports(codec: VideoCodec): boolean {
    return codec === 'vp8' || codec === 'vp9';
  }

  override init(): void {
    this.#decoder = new VideoDecoder({
      output: (frame) => {
        const { timestamp, duration } = this.#times.get(frame.timestamp) ?? {
          timestamp: frame.timestamp / 1e6,
          duration: 0,
        };
        this.#times.delete(frame.timestamp);
        const sample = new VideoSample(frame);
        sample.setTimestamp(timestamp);
        sample.setDuration(duration);
        this.onSample(sample);
      },
      error: (error) => this.onError(error),
    });
    try {
      this.#decoder.configure(this.config);
    } catch (error) {
      this.onError(error);
    }
  }

  override decode(packet: EncodedPacket): void {
    const chunk = packet.toEncodedVideoChunk();
    this.#times.set(chunk.timestamp, packet);
    try {
      this.#decoder!.decode(chunk);
    } catch (error) {
      this.onError(error);
    }
  }

  /** Failures are reported, not thrown: the demuxer's queue would repeat a thrown one where nobody hears it. */
  override async flush(): Promise<void> {
    await this.#decoder!.flush().catch((error) => this.onError(error));
    this.#times.clear();
  }

  override close(): void {
    if (this.#decoder?.state !== 'closed') this.#decoder?.close();
  }
}

let registered = false;

/** Does nothing the second time. */
export function registerOpaqueDecoder(): void {
  if (!registered) registerDecoder(OpaqueDecoder);
  registered = true;
}
