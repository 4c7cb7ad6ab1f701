/** The files of a sample: its videos, what was found of the hands, its caption, and its line in the list. */
import { join } from 'node:path';
import { readRegularText, whileLocked, writeFileAtomic } from '@dwm/core-tensor/node';
import { contactSheet, type Frames, writePng, writeVideo } from '@dwm/media/node';
import { writeTransforms } from '@dwm/renderer';
import type { Reporter } from '../report.ts';
import type { HandClip } from './hands.ts';

interface Sample {
  readonly clip: Frames;
  /** The scene alone. */
  readonly still: Frames;
  readonly hands: HandClip;
  readonly prompt?: string;
}

/** @returns the files, by what is in them. */
export async function writeSample(
  out: string,
  stem: string,
  { clip, still, hands, prompt }: Sample,
  reporter: Reporter,
): Promise<Readonly<Record<string, string>>> {
  reporter.progress('writing the videos …');
  const paths = {
    video: join(out, 'videos', `${stem}.mp4`),
    static: join(out, 'videos_static', `${stem}.mp4`),
    hands: join(out, 'videos_hands', `${stem}.mp4`),
    contactSheet: join(out, `${stem}_contact_sheet.png`),
    dataset: join(out, 'dataset.txt'),
    ...(hands.found && {
      trajectory: join(out, `${stem}_trajectory.json`),
      report: join(out, `${stem}_hands.json`),
    }),
  };
  const caption = join(out, 'prompts_rewrite', `${stem}.txt`);
  const rows = [
    { label: 'video', frames: clip },
    { label: 'static', frames: still },
    { label: 'hands', frames: hands.clip },
    { label: 'hands over the video', frames: over(clip, hands.clip) },
  ];
  await writePng(paths.contactSheet, contactSheet(rows));
  await writeVideo(paths.static, still);
  await writeVideo(paths.hands, hands.clip);
  await writeVideo(paths.video, clip);
  if (paths.trajectory) await writeFileAtomic(paths.trajectory, writeTransforms(hands.found!.trajectory));
  if (paths.report) await writeFileAtomic(paths.report, `${JSON.stringify(hands.found!.report, null, 2)}\n`);
  if (prompt !== undefined) await writeFileAtomic(caption, `${prompt.trim()}\n`);
  else reporter.warn(`no caption: write what happens into ${caption}, or pass --prompt`);
  await addLine(paths.dataset, `videos/${stem}.mp4`);
  return paths;
}

/** Hands as they lie over the video. */
function over(video: Frames, hands: Frames): Frames {
  const data = video.data.slice();
  for (let i = 0; i < data.length; i += 3)
    if (hands.data[i] + hands.data[i + 1] + hands.data[i + 2] > 60)
      for (let c = i; c < i + 3; c++) data[c] = (data[c] + 2 * hands.data[c]) / 3;
  return { ...video, data };
}

/** Adds a line to a list, unless it is there. */
async function addLine(path: string, line: string): Promise<void> {
  // Other clips may be on their way into the folder.
  await whileLocked(path, async () => {
    const before = await readRegularText(path).catch((error) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const lines = before.split(/\r?\n/).filter((text) => text !== '');
    if (!lines.includes(line)) await writeFileAtomic(path, `${[...lines, line].join('\n')}\n`);
  });
}
