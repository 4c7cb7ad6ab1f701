import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seeded } from '@dwm/core-tensor/testing';
import { BlobSource, EncodedPacketSink, Input, MP4, VideoSampleSink } from 'mediabunny';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { blobOf, hasShared, meanColour, movingGradient, psnr, realworld } from '../testing.ts';
import {
  decodeFrames,
  encodeVideo,
  type Frames,
  frameAt,
  indicesAtRate,
  readVideo,
  videoInfo,
  writeVideo,
} from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'dwm-media-'));

describe('round trip', () => {
  test('a moving picture keeps its frames, size, rate and colours', async () => {
    const clip = movingGradient(17, 96, 144, 8);
    const path = join(folder, 'new', 'clip.mp4');
    await writeVideo(path, clip);
    const back = await readVideo(path);
    expect([back.frames, back.height, back.width, back.fps]).toEqual([17, 96, 144, 8]);
    expect(psnr(back.data, clip.data)).toBeGreaterThan(40);
    for (const index of [0, 8, 16]) {
      expect(psnr(frameAt(back, index).data, frameAt(clip, index).data)).toBeGreaterThan(38);
    }
    const means = meanColour(back.data);
    meanColour(clip.data).forEach((mean, c) => {
      expect(Math.abs(mean - means[c])).toBeLessThan(0.5);
    });
  });

  test('rates that are not whole survive', async () => {
    for (const fps of [7.3, 29.97]) {
      const info = await videoInfo(blobOf(await encodeVideo(movingGradient(9, 32, 32, fps))));
      expect(info.fps).toBeCloseTo(fps, 3);
    }
  });

  test('the same frames are the same file, whenever they are written', async () => {
    const clip = movingGradient(3, 32, 48, 8);
    const clock = vi.spyOn(Date, 'now').mockReturnValue(1e12);
    const first = await encodeVideo(clip);
    clock.mockReturnValue(1.5e12);
    const second = await encodeVideo(clip);
    clock.mockRestore();
    expect(Buffer.compare(first, second)).toBe(0);
    expect(Buffer.from(first).includes(Buffer.from('mvhd\0\0\0\0\0\0\0\0\0\0\0\0', 'latin1'))).toBe(true);
  });

  test('odd sizes grow by a repeated row and column', async () => {
    const clip = movingGradient(3, 33, 47, 8);
    const back = await readVideo(blobOf(await encodeVideo(clip)));
    expect([back.height, back.width]).toEqual([34, 48]);
    const cut: Frames = { ...clip, data: new Uint8Array(clip.data.length) };
    for (let f = 0; f < 3; f++) {
      for (let row = 0; row < 33; row++) {
        const from = (f * 34 + row) * 48 * 3;
        cut.data.set(back.data.subarray(from, from + 47 * 3), (f * 33 + row) * 47 * 3);
      }
    }
    expect(psnr(cut.data, clip.data)).toBeGreaterThan(38);
  });

  test('the file is tagged BT.601 limited and has its index in front', async () => {
    const bytes = await encodeVideo(movingGradient(3, 32, 32, 8));
    const text = Buffer.from(bytes).toString('latin1');
    expect(text.indexOf('moov')).toBeLessThan(text.indexOf('mdat'));
    const input = new Input({ source: new BlobSource(blobOf(bytes)), formats: [MP4] });
    const track = (await input.getPrimaryVideoTrack())!;
    expect(await track.getColorSpace()).toEqual({
      primaries: 'smpte170m',
      transfer: 'smpte170m',
      matrix: 'smpte170m',
      fullRange: false,
    });
    expect(await track.getCodec()).toBe('avc');
    input.dispose();
  });

  test('a bitrate is followed, whatever the frame rate', async () => {
    const random = seeded(11);
    const clip = { ...movingGradient(40, 96, 96, 8) };
    clip.data = clip.data.map((value) => value / 2 + random() * 120);
    const bitrate = 400_000;
    for (const fps of [8, 30]) {
      const bytes = await encodeVideo(clip, { fps, bitrate });
      const measured = (bytes.length * 8) / (clip.frames / fps);
      expect(measured / bitrate).toBeGreaterThan(0.6);
      expect(measured / bitrate).toBeLessThan(1.6);
    }
  });

  test('bad arguments are named', async () => {
    const clip = movingGradient(2, 16, 16, 8);
    await expect(encodeVideo(clip, { fps: 0 })).rejects.toThrow(/fps: must be at least 1/);
    await expect(encodeVideo(clip, { bitrate: -1 })).rejects.toThrow(/bitrate: must be above 0/);
    await expect(encodeVideo({ ...clip, frames: 3 })).rejects.toThrow(/holds 1536 bytes, expected 2304/);
  });
});

describe('choosing frames', () => {
  const clip = movingGradient(40, 48, 64, 30);
  let bytes: Uint8Array;
  beforeEach(async () => {
    bytes ??= await encodeVideo(clip);
  });

  test('indices give exactly the frames of a full read', async () => {
    const all = await readVideo(blobOf(bytes));
    const chosen = [0, 3, 3, 17, 38, 39];
    const some = await readVideo(blobOf(bytes), { indices: chosen });
    chosen.forEach((index, i) => {
      expect(Buffer.compare(frameAt(some, i).data, frameAt(all, index).data)).toBe(0);
    });
  });

  test('a strided read has the slower rate; progress counts the frames', async () => {
    const seen: string[] = [];
    const some = await readVideo(blobOf(bytes), {
      indices: (info) => Array.from({ length: Math.floor(info.frames / 3) }, (_, i) => i * 3),
      onProgress: (done, total) => seen.push(`${done}/${total}`),
    });
    expect(some.fps).toBeCloseTo(10, 5);
    expect(seen).toEqual(Array.from({ length: 13 }, (_, i) => `${i + 1}/13`));
  });

  test('a stream can be left early, and says when each frame is shown', async () => {
    const times: number[] = [];
    for await (const frame of decodeFrames(blobOf(bytes))) {
      times.push(frame.timestamp);
      expect(frame.index).toBe(times.length - 1);
      if (times.length === 4) break;
    }
    times.forEach((time, i) => {
      expect(time).toBeCloseTo(i / 30, 3);
    });
  });

  test('resampling takes the nearest frame to each tick', async () => {
    const info = await videoInfo(blobOf(bytes));
    expect(indicesAtRate(info, 8)).toEqual([0, 4, 7, 11, 15, 19, 22, 26, 30, 34]);
    expect(indicesAtRate(info, 8, 3)).toEqual([0, 4, 7]);
    expect(indicesAtRate(info, 60, 4)).toEqual([0, 0, 1, 1]);
    expect(indicesAtRate(info, 30)).toHaveLength(40);
    expect(() => indicesAtRate(info, 0)).toThrow(/fps: must be above 0/);
  });

  test('wrong indices are named', async () => {
    await expect(readVideo(blobOf(bytes), { indices: [40] })).rejects.toThrow(
      /frame 40 does not exist.*has 40/,
    );
    await expect(readVideo(blobOf(bytes), { indices: [5, 4] })).rejects.toThrow(
      /must ascend, but 4 follows 5/,
    );
    await expect(readVideo(blobOf(bytes), { indices: [] })).rejects.toThrow(/is empty/);
  });
});

describe('files that are not whole videos', () => {
  const write = (name: string, bytes: Uint8Array | string) => {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return path;
  };
  const random = seeded(5);
  const noise = { ...movingGradient(20, 64, 64, 8) };
  noise.data = noise.data.map(() => random() * 256);

  test('each gets one line that names the file and the fix', async () => {
    const whole = await encodeVideo(noise);
    const moov = Buffer.from(whole).toString('latin1').indexOf('moov');
    const damaged = Uint8Array.from(whole, (byte, i) => (i > 8000 ? (byte * 31 + i) & 255 : byte));
    const cases: [path: string, message: RegExp][] = [
      [join(folder, 'absent.mp4'), /no such file; check the path/],
      [folder, /holds no PNG, JPEG or WebP pictures; expected a video or a folder of frames/],
      [write('empty.mp4', ''), /is empty \(0 bytes\).*copy the file again/],
      [write('text.mp4', 'not a video at all '.repeat(99)), /is not a video.*expected MP4.*convert it/],
      [write('header.mp4', whole.subarray(0, moov + 60)), /truncated.*re-encode/],
      [
        write('half.mp4', whole.subarray(0, whole.length >> 1)),
        /decoded \d+ of 20 frames.*truncated.*re-encode/,
      ],
      [write('tail.mp4', whole.subarray(0, whole.length - 100)), /decoded 19 of 20 frames.*truncated/],
      [write('damaged.mp4', damaged), /(cannot be decoded|decoded \d+ of 20).*damaged.*re-encode/],
    ];
    for (const [path, message] of cases) {
      const error = await readVideo(path).then(
        () => new Error(`${path} was read`),
        (thrown) => thrown,
      );
      expect(error.name, path).toBe('InvalidFileError');
      expect(error.message).toMatch(message);
      expect(error.message.startsWith(`${path}: `)).toBe(true);
      expect(error.message).not.toContain('\n');
    }
    const late = readVideo(join(folder, 'half.mp4'), { indices: [0, 19] });
    await expect(late).rejects.toThrow(/decoded 1 of 2 frames/);
  });

  test('a Blob is called by its file name', async () => {
    await expect(readVideo(new File([], 'none.mp4'))).rejects.toThrow(/^none\.mp4: is empty/);
    await expect(readVideo(new File(['x'], 'mine.mp4'))).rejects.toThrow(/^mine\.mp4: is not a video/);
  });
});

test('reading holds the event loop open until it is done', () => {
  const path = join(folder, 'clip-alone.mp4');
  const script = `
    import { readVideo, writeVideo } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
    const data = new Uint8Array(12 * 64 * 64 * 3).fill(90);
    await writeVideo(${JSON.stringify(path)}, { data, frames: 12, height: 64, width: 64, fps: 8 });
    console.log((await readVideo(${JSON.stringify(path)})).frames);`;
  const program = join(folder, 'alone.mjs');
  writeFileSync(program, script);
  const out = execFileSync(process.execPath, ['--import', import.meta.resolve('tsx'), program], {
    encoding: 'utf8',
  });
  expect(out.trim()).toBe('12');
}, 40_000);

describe('real clips', () => {
  beforeEach((context) => context.skip(!hasShared, 'skipped, no shared data'));
  const names = ['00017', '00043', '00055'];

  for (const kind of ['videos', 'videos_static', 'videos_hands']) {
    test(`${kind}: [49, 480, 720, 3] at 8 fps, and at least 40 dB after writing`, async () => {
      for (const name of names) {
        const clip = await readVideo(realworld(`${kind}/${name}.mp4`));
        expect([clip.frames, clip.height, clip.width, clip.fps]).toEqual([49, 480, 720, 8]);
        const back = await readVideo(blobOf(await encodeVideo(clip)));
        expect(psnr(back.data, clip.data), `${kind}/${name}`).toBeGreaterThan(40);
      }
    }, 60_000);
  }

  test('hands are on black, green or coral', async () => {
    for (const name of names) {
      const { data } = await readVideo(realworld(`videos_hands/${name}.mp4`));
      let black = 0;
      let green = 0;
      let coral = 0;
      for (let i = 0; i < data.length; i += 3) {
        const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
        if (r + g + b <= 6) black++;
        else if (g > r + 20 && g > b + 20) green++;
        else if (r > g + 20 && r > b + 20) coral++;
      }
      const pixels = data.length / 3;
      expect(black / pixels).toBeGreaterThan(0.95);
      expect(green + coral).toBeGreaterThan(0.5 * (pixels - black));
    }
  });

  // Kr R + Kg G + Kb B undoes the matrix, so the mean luma says whether matrix and range were the right ones.
  test.each([
    { path: 'videos/00055.mp4', weights: [0.299, 0.587, 0.114], black: 16, span: 219, size: [480, 720] },
    {
      path: 'fixed_lift_tumbler.mp4',
      weights: [0.2126, 0.7152, 0.0722],
      black: 0,
      span: 255,
      size: [1080, 1920],
    },
  ])('$path: mean luma of our RGB is that of the plane', async ({ path, weights, black, span, size }) => {
    const indices = [0, 20, 40];
    const clip = await readVideo(realworld(path), { indices });
    expect([clip.height, clip.width]).toEqual(size);
    const input = new Input({
      source: new BlobSource(blobOf(readFileSync(realworld(path)))),
      formats: [MP4],
    });
    const track = (await input.getPrimaryVideoTrack())!;
    const first = (await new EncodedPacketSink(track).getFirstPacket())!;
    const sample = (await new VideoSampleSink(track).getSample(first.timestamp))!;
    const planes = new Uint8Array(sample.allocationSize());
    await sample.copyTo(planes);
    sample.close();
    input.dispose();
    const luma = planes.subarray(0, size[0] * size[1]);
    const expected = luma.reduce((sum, code) => sum + (255 * (code - black)) / span, 0) / luma.length;
    const [r, g, b] = meanColour(frameAt(clip, 0).data);
    expect(Math.abs(weights[0] * r + weights[1] * g + weights[2] * b - expected)).toBeLessThan(0.5);
  });

  test('a 1080p clip is resampled to 8 fps without being held', async () => {
    const info = await videoInfo(realworld('fixed_lift_tumbler.mp4'));
    expect([info.frames, info.height, info.width]).toEqual([278, 1080, 1920]);
    expect(info.fps).toBeCloseTo(30000 / 1001, 4);
    const indices = indicesAtRate(info, 8, 49);
    expect(indices).toHaveLength(49);
    let count = 0;
    for await (const frame of decodeFrames(realworld('fixed_lift_tumbler.mp4'), { indices })) {
      expect(Math.abs(frame.timestamp - count / 8)).toBeLessThan(0.5 / 29);
      count++;
    }
    expect(count).toBe(49);
  }, 60_000);
});
