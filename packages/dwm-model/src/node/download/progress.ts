/** How far a download is, how fast it goes and when it will end. */

export interface DownloadProgress {
  /** `verify`: a file on disk is being compared to the hub's checksum. */
  phase: 'download' | 'verify';
  file: string;
  /** Bytes of this file received (or, in `verify`, hashed), and its size. */
  fileBytes: number;
  fileSize: number;
  /** Bytes of all wanted files that are on disk, and their sum. */
  bytes: number;
  totalBytes: number;
  /** Mean over the last five seconds; undefined until there is something to measure. */
  bytesPerSecond?: number;
  /** Seconds to the end at this rate. */
  etaSeconds?: number;
}

const WINDOW_MS = 5000;
const MIN_SPAN_MS = 250;
const REPORT_EVERY_MS = 100;

export class ProgressMeter {
  readonly #totalBytes: number;
  readonly #listener: ((progress: DownloadProgress) => void) | undefined;
  readonly #now: () => number;
  /** Times in ms with the bytes received from the network until then. */
  #samples: { time: number; received: number }[] = [];
  #received = 0;
  #finished = 0;
  #lastReport = Number.NEGATIVE_INFINITY;

  constructor(
    totalBytes: number,
    listener?: (progress: DownloadProgress) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#totalBytes = totalBytes;
    this.#listener = listener;
    this.#now = now;
  }

  /** `chunk` more bytes of a file came from the network; `fileBytes` of it are there now. */
  received(file: string, fileSize: number, fileBytes: number, chunk: number): void {
    const time = this.#now();
    this.#received += chunk;
    this.#samples.push({ time, received: this.#received });
    while (this.#samples[0]!.time < time - WINDOW_MS) this.#samples.shift();
    this.#report('download', file, fileSize, fileBytes, fileBytes, time);
  }

  /** `hashed` bytes of a file have been hashed; `onDisk` of it are there. */
  verifying(file: string, fileSize: number, hashed: number, onDisk: number): void {
    this.#report('verify', file, fileSize, hashed, onDisk, this.#now());
  }

  /** A file is complete and verified. */
  finished(file: string, fileSize: number): void {
    this.#lastReport = Number.NEGATIVE_INFINITY;
    this.#report('verify', file, fileSize, fileSize, fileSize, this.#now());
    // The next file shows up at once.
    this.#lastReport = Number.NEGATIVE_INFINITY;
    this.#finished += fileSize;
  }

  #report(
    phase: 'download' | 'verify',
    file: string,
    fileSize: number,
    fileBytes: number,
    onDisk: number,
    time: number,
  ) {
    if (!this.#listener || time - this.#lastReport < REPORT_EVERY_MS) return;
    this.#lastReport = time;
    const bytes = this.#finished + onDisk;
    const first = this.#samples[0];
    const span = first ? time - first.time : 0;
    const bytesPerSecond =
      span < MIN_SPAN_MS ? undefined : ((this.#received - first!.received) / span) * 1000;
    const etaSeconds = bytesPerSecond ? (this.#totalBytes - bytes) / bytesPerSecond : undefined;
    const totalBytes = this.#totalBytes;
    this.#listener({ phase, file, fileBytes, fileSize, bytes, totalBytes, bytesPerSecond, etaSeconds });
  }
}
