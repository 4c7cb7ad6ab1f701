/** Plays a path into a live model, and writes what it made. */
import { dirname, join } from 'node:path';
import { checkOutput } from '@dwm/core-tensor/node';
import { atSize, type DwmPipeline, type PromptEmbeds } from '@dwm/dwm-model';
import { DwmStream } from '@dwm/dwm-model/live';
import { contactSheet, type Frames, writePng, writeVideo } from '@dwm/media/node';
import { recordMetadata } from '../generate/outputs.ts';
import { drawVideos } from '../render/clips.ts';
import { size as bytesText, type Reporter } from '../report.ts';
import { VERSION } from '../version.ts';
import type { LiveFlags } from './flags.ts';
import type { LiveClips } from './inputs.ts';
import { type LiveRates, runLive } from './run.ts';

interface Size {
  readonly height: number;
  readonly width: number;
  readonly fps: number;
}

interface Run extends Size {
  /** As it was named. */
  readonly model: string;
  readonly prompt: string | PromptEmbeds;
  readonly plannedDeviceBytes: number;
}

/** Of a pixel of the video, at the least. */
const PIXEL_BYTES = 0.1;

/** @throws where the disk has no room for the video. */
export async function roomForRun(flags: LiveFlags, clips: LiveClips, { height, width }: Size): Promise<void> {
  const frames = 'staticVideo' in clips ? clips.handVideo.frames : clips.trajectory.frames.length;
  await checkOutput(dirname(flags.out), frames * flags.repeat * height * width * PIXEL_BYTES);
}

/** Writes the video, a contact sheet and the metadata. */
export async function playAndWrite(
  pipeline: DwmPipeline,
  flags: LiveFlags,
  clips: LiveClips,
  { model, prompt, plannedDeviceBytes, height, width, fps }: Run,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const { device } = pipeline;
  const { out } = flags;
  const drawn = 'staticVideo' in clips ? clips : await drawVideos(device, clips, reporter, signal);
  const sized = async (video: Frames) => ({
    ...(await atSize(device, video, { frames: video.frames, height, width })),
    fps,
  });
  const videos = {
    staticVideo: await sized(drawn.staticVideo),
    handVideo: await sized(drawn.handVideo),
  };
  reporter.progress('compiling …');
  const stream = await DwmStream.open(pipeline, {
    scene: {
      ...videos.staticVideo,
      frames: 1,
      data: videos.staticVideo.data.subarray(0, height * width * 3),
    },
    ...{ prompt, seed: flags.seed, composite: flags.composite },
    ...{ numInferenceSteps: flags.numInferenceSteps, guidanceScale: flags.guidanceScale },
  });
  const source = { ...videos, times: flags.repeat, still: flags.still === true };
  const { made, rates } = await runLive(device, stream, source, signal, progress(reporter)).finally(() =>
    stream.destroy(),
  );
  const rows = [
    ...(flags.repeat === 1
      ? [
          { label: 'static', frames: videos.staticVideo },
          { label: 'hands', frames: videos.handVideo },
        ]
      : []),
    { label: 'live', frames: { ...made, fps } },
  ];
  await writePng(`${out.slice(0, -4)}_contact_sheet.png`, contactSheet(rows, {}));
  await recordMetadata(join(dirname(out), 'metadata.json'), out, {
    ...rates,
    plannedDeviceBytes,
    ...{ prompt: typeof prompt === 'string' ? prompt : undefined, promptEmbeds: flags.promptEmbeds },
    ...{ model, seed: flags.seed, fps, precision: flags.precision, repeat: flags.repeat },
    adapter: device.caps.adapter,
    date: new Date().toISOString(),
    version: VERSION,
    command: process.argv.slice(2),
  });
  await writeVideo(out, { ...made, fps });
  reporter.result({ video: out, ...rates }, ratesText(out, rates));
}

function progress(reporter: Reporter): (made: number, total: number) => void {
  const since = performance.now();
  return (made, total) => {
    const rate = (1000 * made) / (performance.now() - since);
    reporter.progress(`live: frame ${made} of ${total}, ${rate.toFixed(1)} a second`, made === total);
  };
}

function ratesText(out: string, rates: LiveRates): string {
  const { frames, blockFrames, firstSeconds, framesPerSecond, flopsPerFrame, bytesPerFrame } = rates;
  const [early, late] = rates.deviceBytes.map(bytesText);
  const [before, after] = rates.processBytes.map(bytesText);
  return [
    `${out}: ${frames} frames in blocks of ${blockFrames}; the first after ${firstSeconds.toFixed(2)} s, then ${framesPerSecond.toFixed(1)} a second`,
    `a frame: ${(flopsPerFrame / 1e9).toFixed(2)} GFLOP, ${bytesText(bytesPerFrame)} read and written`,
    `memory from the second block to the last: device ${early} to ${late}, process ${before} to ${after}`,
  ].join('\n');
}
